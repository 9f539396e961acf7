namespace VirtioSharp.Core.Driver;

/// <summary>The byte order of numbers in configuration space: little-endian (§2.5), or the guest's own with a legacy interface (§2.5.3).</summary>
internal static class ConfigurationOrder
{
    /// <summary>Turns a field round, in place, when its order and the processor's differ. The same in both directions.</summary>
    public static void Convert<T>(Span<byte> field, bool isLegacy, bool processorIsLittleEndian)
        where T : unmanaged
    {
        if (!isLegacy && !processorIsLittleEndian && IsNumber<T>())
            field.Reverse();
    }

    private static bool IsNumber<T>() =>
        typeof(T).IsEnum
        || typeof(T) == typeof(ushort) || typeof(T) == typeof(uint) || typeof(T) == typeof(ulong)
        || typeof(T) == typeof(short) || typeof(T) == typeof(int) || typeof(T) == typeof(long);
}

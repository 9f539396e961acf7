namespace VirtioSharp.Transports;

/// <summary>What is the same for every register, whoever answers.</summary>
internal static class RegisterAccess
{
    /// <summary>Whether an access has a width that buses know and starts at a multiple of it.</summary>
    public static bool IsNatural(ulong offset, int width) => width is 1 or 2 or 4 && (offset & (ulong)(width - 1)) == 0;

    /// <summary>Whether all bytes of an access are inside.</summary>
    public static bool IsInside(ulong offset, int width, ulong length) =>
        width is 1 or 2 or 4 && offset < length && (ulong)width <= length - offset;

    /// <summary>What a bus reads where nobody answers.</summary>
    public static uint AllOnes(int width) => width switch { 1 => 0xFF, 2 => 0xFFFF, _ => 0xFFFF_FFFF };
}

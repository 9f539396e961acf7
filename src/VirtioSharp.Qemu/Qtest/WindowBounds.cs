namespace VirtioSharp.Qemu.Qtest;

/// <summary>An access outside its window would reach another device's registers: it is a caller's mistake and goes nowhere.</summary>
internal static class WindowBounds
{
    public static ulong Check(ulong offset, int width, ulong length)
    {
        if (width is not (1 or 2 or 4))
            throw new ArgumentOutOfRangeException(nameof(width), width, "a register access has 1, 2 or 4 bytes");
        return offset < length && (ulong)width <= length - offset
            ? offset
            : throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{width} bytes there are not within a window of {length}");
    }
}

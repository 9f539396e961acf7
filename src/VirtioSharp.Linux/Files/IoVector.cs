using System.Runtime.InteropServices;

namespace VirtioSharp.Linux;

/// <summary>A piece of memory to read into or to write from, as the kernel takes it: struct iovec (readv(2)).</summary>
/// <param name="address">Where; it must stay there while a call uses it.</param>
/// <param name="length">Bytes.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly struct IoVector(nint address, nint length)
{
    /// <summary>Where.</summary>
    public readonly nint Address = address;

    /// <summary>Bytes.</summary>
    public readonly nint Length = length;

    /// <summary>What is left of it behind the first <paramref name="bytes"/>.</summary>
    public IoVector Skip(nint bytes) => new(Address + bytes, Length - bytes);

    /// <summary>Leaves behind what has been moved, which may end inside of a buffer: that one begins later then.</summary>
    /// <param name="buffers">What was to be moved.</param>
    /// <param name="bytes">How much was.</param>
    /// <returns>How many buffers are done.</returns>
    public static int Consume(Span<IoVector> buffers, nint bytes)
    {
        int done = 0;
        for (; done < buffers.Length && bytes >= buffers[done].Length; done++)
            bytes -= buffers[done].Length;
        if (bytes > 0)
            buffers[done] = buffers[done].Skip(bytes);
        return done;
    }
}

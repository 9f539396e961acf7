using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VirtioSharp.Core.Memory;

/// <summary>A piece of the driver's memory for a system call to read into or to write from: laid out like the kernel's struct iovec.</summary>
/// <remarks>Borrowed until its chain is completed. The driver may change the bytes at any time: they are moved, never believed.</remarks>
[StructLayout(LayoutKind.Sequential)]
public readonly unsafe struct IoBuffer
{
    private readonly void* _address;
    private readonly nuint _length;

    private IoBuffer(ReadOnlySpan<byte> bytes)
    {
        _address = Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes));
        _length = (nuint)bytes.Length;
    }

    /// <summary>Keeps what a chain showed for longer than a span may live.</summary>
    /// <param name="piece">Found with <c>TryNextReadable</c> or <c>TryNextWritable</c> of a <c>DeviceChain</c>: its memory is mapped or
    /// pinned, and stays where it is. Any other memory may move.</param>
    public static IoBuffer OfChain(ReadOnlySpan<byte> piece) => new(piece);

    /// <summary>The bytes.</summary>
    public Span<byte> Bytes => new(_address, (int)_length);
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VirtioSharp.Devices.Block;

/// <summary>A piece of the driver's memory to read into or to write from, laid out like the kernel's struct iovec.</summary>
/// <remarks>Borrowed until its operation is completed. The driver may change the bytes at any time: they are moved, never believed.</remarks>
[StructLayout(LayoutKind.Sequential)]
public readonly unsafe struct BlockBuffer
{
    private readonly void* _address;
    private readonly nuint _length;

    // A chain's memory is mapped or pinned, so its spans have an address that stays.
    internal BlockBuffer(ReadOnlySpan<byte> bytes)
    {
        _address = Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes));
        _length = (nuint)bytes.Length;
    }

    /// <summary>The bytes.</summary>
    public Span<byte> Bytes => new(_address, (int)_length);
}

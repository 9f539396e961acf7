using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>
/// struct epoll_event is packed on x64 (so that 32-bit programs share it) and naturally aligned everywhere else.
/// One assembly serves both, hence offsets chosen at run time in place of a struct.
/// </summary>
/// <remarks><code>
///  x64      0 events 4 data            12
///  arm64    0 events 4 (pad) 8 data    16
/// </code></remarks>
internal static unsafe class EpollEventLayout
{
    private static readonly bool Packed = RuntimeInformation.ProcessArchitecture == Architecture.X64;

    /// <summary>Bytes from one event to the next.</summary>
    public static int Size => Packed ? 12 : 16;

    private static int DataOffset => Packed ? 4 : 8;

    public static void Write(byte* at, uint events, ulong data)
    {
        Unsafe.WriteUnaligned(at, events);
        Unsafe.WriteUnaligned(at + DataOffset, data);
    }

    public static void Read(byte* at, out uint events, out ulong data)
    {
        events = Unsafe.ReadUnaligned<uint>(at);
        data = Unsafe.ReadUnaligned<ulong>(at + DataOffset);
    }
}

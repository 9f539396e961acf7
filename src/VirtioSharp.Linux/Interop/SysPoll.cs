using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;poll.h&gt;: poll(2).</summary>
internal static unsafe partial class SysPoll
{
    public const short POLLIN = 0x1;
    public const short POLLOUT = 0x4;

    public struct Pollfd
    {
        public int Fd;
        public short Events;
        public short Ready;
    }

    public struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport(Libc.Name)]
    public static partial int poll(Pollfd* fds, nuint count, int milliseconds);

    [LibraryImport(Libc.Name)]
    public static partial int ppoll(Pollfd* fds, nuint count, Timespec* timeout, void* signalMask);
}

using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/epoll.h&gt;: epoll(7). Events are laid out by <see cref="EpollEventLayout"/>.</summary>
internal static unsafe partial class SysEpoll
{
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;

    /// <summary>The system call's number on every architecture.</summary>
    private const long EpollPwait2Number = 441;

    public struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport(Libc.Name)]
    public static partial int epoll_create1(int flags);

    [LibraryImport(Libc.Name)]
    public static partial int epoll_ctl(FileDescriptor epoll, int operation, FileDescriptor fd, byte* epollEvent);

    [LibraryImport(Libc.Name)]
    public static partial int epoll_wait(FileDescriptor epoll, byte* events, int capacity, int milliseconds);

    // By number: glibc has a wrapper since 2.35 only, musl has none. A variadic function is called like
    // any other on the Linux ABIs of x64 and arm64 while all arguments are integers.
    [LibraryImport(Libc.Name, EntryPoint = "syscall")]
    private static partial long Syscall(
        long number, FileDescriptor epoll, byte* events, nint capacity, Timespec* timeout, void* signalMask, nuint maskSize);

    /// <summary>epoll_pwait2(2) without a signal mask; a null timeout waits for ever. Linux 5.11.</summary>
    public static int epoll_pwait2(FileDescriptor epoll, byte* events, int capacity, Timespec* timeout) =>
        (int)Syscall(EpollPwait2Number, epoll, events, capacity, timeout, null, 0);
}

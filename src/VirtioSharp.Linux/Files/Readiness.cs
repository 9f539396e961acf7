using System.Diagnostics;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Waiting for one descriptor with a time limit (poll(2)), for threads that have no <see cref="EventLoop"/>.</summary>
public static class Readiness
{
    /// <summary>Waits until a read would not block: there is data, the end, or an error to read.</summary>
    /// <param name="fd">What to wait for.</param>
    /// <param name="timeout">At most this long, rounded up to milliseconds; <see cref="Timeout.InfiniteTimeSpan"/> has no limit.</param>
    /// <returns>False when the time was up first.</returns>
    /// <exception cref="LinuxException">ENOMEM.</exception>
    public static bool WaitReadable(FileDescriptor fd, TimeSpan timeout) => Wait(fd, SysPoll.POLLIN, timeout);

    /// <summary>Waits until a write would not block, or would fail.</summary>
    /// <inheritdoc cref="WaitReadable"/>
    public static bool WaitWritable(FileDescriptor fd, TimeSpan timeout) => Wait(fd, SysPoll.POLLOUT, timeout);

    private static unsafe bool Wait(FileDescriptor fd, short events, TimeSpan timeout)
    {
        bool held = false;
        try
        {
            fd.DangerousAddRef(ref held); // poll takes the number inside a struct: keep it ours meanwhile
            SysPoll.Pollfd poll = new() { Fd = fd.Number, Events = events };
            long start = Stopwatch.GetTimestamp();
            while (true)
            {
                TimeSpan left = timeout < TimeSpan.Zero ? timeout : timeout - Stopwatch.GetElapsedTime(start);
                int ready = SysPoll.poll(&poll, 1, timeout < TimeSpan.Zero ? -1 : Milliseconds.RoundUp(left));
                if (ready >= 0)
                    return ready > 0;
                Errno errno = Libc.LastError;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, $"poll {fd}");
            }
        }
        finally
        {
            if (held)
                fd.DangerousRelease();
        }
    }
}

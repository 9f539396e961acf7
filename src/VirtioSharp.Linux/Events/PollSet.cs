using System.Diagnostics;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Waits for any of some descriptors with a time limit (ppoll(2)), for threads that have no <see cref="EventLoop"/>. A wait
/// allocates nothing.</summary>
/// <remarks>
/// Each descriptor has a slot, and is held open while it is there. Which slots a wait looks at may change from one to the next
/// at no cost, as epoll(7) has it not: a driver waits for one queue now, and for all of them later. Not for two threads.
/// </remarks>
public sealed unsafe class PollSet : IDisposable
{
    private readonly FileDescriptor?[] _held;
    private readonly SysPoll.Pollfd[] _polls;
    private readonly SysPoll.Pollfd* _first;

    /// <summary>Empty slots.</summary>
    /// <param name="slots">How many.</param>
    public PollSet(int slots)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(slots);
        _held = new FileDescriptor?[slots];
        _polls = GC.AllocateArray<SysPoll.Pollfd>(slots, pinned: true);
        fixed (SysPoll.Pollfd* first = _polls)
            _first = first; // stays true: the array is pinned for its life, which is this object's
        _polls.AsSpan().Fill(new SysPoll.Pollfd { Fd = -1, Events = SysPoll.POLLIN });
    }

    /// <summary>Puts a descriptor into a slot, to be waited for, in place of the one that is there.</summary>
    /// <param name="slot">Which slot.</param>
    /// <param name="fd">Still owned by the caller, but open until it leaves the slot; null empties it.</param>
    /// <exception cref="ObjectDisposedException">The descriptor is closed.</exception>
    public void Set(int slot, FileDescriptor? fd)
    {
        bool held = false;
        fd?.DangerousAddRef(ref held);
        _held[slot]?.DangerousRelease();
        _held[slot] = fd;
        _polls[slot] = new SysPoll.Pollfd { Fd = fd?.Number ?? -1, Events = SysPoll.POLLIN };
    }

    /// <summary>Whether waits look at a slot. They do when a descriptor has been put there.</summary>
    public void Watch(int slot, bool on) => _polls[slot].Fd = on && _held[slot] is { } fd ? fd.Number : -1; // poll skips negative numbers

    /// <summary>Whether the last wait found a slot readable: there is data, the end, or an error to read.</summary>
    public bool IsReady(int slot) => _polls[slot].Fd >= 0 && _polls[slot].Ready != 0;

    /// <summary>Waits until a slot that is watched is readable.</summary>
    /// <param name="timeout">At most this long; zero only looks, <see cref="Timeout.InfiniteTimeSpan"/> and beyond has no limit.</param>
    /// <returns>How many are.</returns>
    /// <exception cref="LinuxException">ENOMEM.</exception>
    public int Wait(TimeSpan timeout)
    {
        bool isLimited = timeout >= TimeSpan.Zero && timeout < TimeSpan.FromDays(1000);
        long start = isLimited ? Stopwatch.GetTimestamp() : 0;
        while (true)
        {
            long ticks = isLimited ? Math.Max((timeout - Stopwatch.GetElapsedTime(start)).Ticks, 0) : 0;
            var until = new SysPoll.Timespec
            {
                Seconds = ticks / TimeSpan.TicksPerSecond,
                Nanoseconds = ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick,
            };
            int ready = SysPoll.ppoll(_first, (nuint)_polls.Length, isLimited ? &until : null, null);
            if (ready >= 0)
                return ready;
            Errno errno = Libc.LastError;
            if (errno != Errno.EINTR)
                throw new LinuxException(errno, "ppoll");
        }
    }

    /// <summary>Lets go of all descriptors.</summary>
    public void Dispose()
    {
        for (int slot = 0; slot < _held.Length; slot++)
            Set(slot, null);
    }
}

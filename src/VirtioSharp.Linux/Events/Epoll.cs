using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>One descriptor's readiness, as <see cref="Epoll.Wait"/> reports it.</summary>
/// <param name="Events">What it is ready for.</param>
/// <param name="Token">What it was added with.</param>
public readonly record struct EpollReady(EpollEvents Events, ulong Token);

/// <summary>Waits for many descriptors at once (epoll(7)). A thin wrapper; <see cref="EventLoop"/> is what devices use.</summary>
/// <remarks>
/// A descriptor must be removed before it is closed: epoll watches the open file description, and while a peer shares
/// that, closing our descriptor neither stops the events nor leaves a way to remove it.
/// </remarks>
public sealed unsafe class Epoll : IDisposable
{
    private readonly FileDescriptor _epoll;
    private readonly byte[] _events;
    private readonly byte* _first;
    private readonly int _capacity;

    /// <summary>Watches nothing yet.</summary>
    /// <param name="capacity">How many descriptors one <see cref="Wait"/> reports at most.</param>
    /// <exception cref="LinuxException">EMFILE, ENFILE.</exception>
    public Epoll(int capacity = 64)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        int fd = SysEpoll.epoll_create1(SysEpoll.EPOLL_CLOEXEC);
        if (fd < 0)
            LinuxException.ThrowLast("epoll_create1");
        _epoll = FileDescriptor.Adopt(fd);
        _capacity = capacity;
        _events = GC.AllocateArray<byte>(capacity * EpollEventLayout.Size, pinned: true);
        fixed (byte* first = _events)
            _first = first; // stays true: the array is pinned for its life, which is this object's
    }

    /// <summary>True once epoll_pwait2(2) turned out to be missing.</summary>
    internal bool CountsMilliseconds { get; set; }

    /// <summary>Watches a descriptor.</summary>
    /// <param name="fd">Not watched yet.</param>
    /// <param name="interest">What to wait for.</param>
    /// <param name="token">Comes back with its events.</param>
    /// <exception cref="LinuxException">EEXIST: watched already; EPERM: a regular file or directory, always ready.</exception>
    public void Add(FileDescriptor fd, EpollEvents interest, ulong token) =>
        Control(SysEpoll.EPOLL_CTL_ADD, fd, interest, token, "epoll_ctl ADD");

    /// <summary>Waits for something else on a descriptor.</summary>
    /// <inheritdoc cref="Add"/>
    /// <exception cref="LinuxException">ENOENT: it is not watched.</exception>
    public void Modify(FileDescriptor fd, EpollEvents interest, ulong token) =>
        Control(SysEpoll.EPOLL_CTL_MOD, fd, interest, token, "epoll_ctl MOD");

    /// <summary>Stops watching a descriptor. Events that the last <see cref="Wait"/> reported stay reported.</summary>
    /// <exception cref="LinuxException">ENOENT: it is not watched.</exception>
    public void Remove(FileDescriptor fd) => Control(SysEpoll.EPOLL_CTL_DEL, fd, EpollEvents.None, 0, "epoll_ctl DEL");

    /// <summary>Sleeps until something is ready. Allocates nothing.</summary>
    /// <param name="timeout">At most this long; <see cref="Timeout.InfiniteTimeSpan"/> has no limit. Exact to the kernel's
    /// timer where it has epoll_pwait2(2) (5.11), else rounded up to milliseconds.</param>
    /// <returns>How many are ready, to be read with the indexer; 0 after the timeout or when a signal came first.</returns>
    /// <exception cref="LinuxException">EBADF and the like: a mistake of the program.</exception>
    public int Wait(TimeSpan timeout)
    {
        int ready = CountsMilliseconds ? WaitMilliseconds(timeout) : WaitExactly(timeout);
        if (ready >= 0)
            return ready;

        Errno errno = Libc.LastError;
        if (errno == Errno.EINTR)
            return 0;

        // Old kernels answer ENOSYS, old container sandboxes EPERM to a call they do not know.
        if (!CountsMilliseconds && errno is Errno.ENOSYS or Errno.EPERM)
        {
            CountsMilliseconds = true;
            return Wait(timeout);
        }

        throw new LinuxException(errno, "epoll_wait");
    }

    /// <summary>One of the descriptors that the last <see cref="Wait"/> found ready.</summary>
    /// <param name="index">Less than what it returned.</param>
    public EpollReady this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_capacity, nameof(index));
            EpollEventLayout.Read(_first + index * EpollEventLayout.Size, out uint events, out ulong token);
            return new EpollReady((EpollEvents)events, token);
        }
    }

    /// <summary>Stops watching everything.</summary>
    public void Dispose() => _epoll.Dispose();

    private int WaitExactly(TimeSpan timeout)
    {
        if (timeout < TimeSpan.Zero)
            return SysEpoll.epoll_pwait2(_epoll, _first, _capacity, null);
        SysEpoll.Timespec limit = new()
        {
            Seconds = timeout.Ticks / TimeSpan.TicksPerSecond,
            Nanoseconds = timeout.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick,
        };
        return SysEpoll.epoll_pwait2(_epoll, _first, _capacity, &limit);
    }

    private int WaitMilliseconds(TimeSpan timeout) =>
        SysEpoll.epoll_wait(_epoll, _first, _capacity, timeout < TimeSpan.Zero ? -1 : Milliseconds.RoundUp(timeout));

    private void Control(int operation, FileDescriptor fd, EpollEvents interest, ulong token, string call)
    {
        byte* request = stackalloc byte[16];
        EpollEventLayout.Write(request, (uint)interest, token);
        if (SysEpoll.epoll_ctl(_epoll, operation, fd, request) < 0)
            LinuxException.ThrowLast(call, fd);
    }
}

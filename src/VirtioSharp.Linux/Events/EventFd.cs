using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A kick or an interrupt: a 64-bit counter that one side adds to and the other side drains (eventfd(2)).</summary>
/// <remarks>
/// O_NONBLOCK belongs to the open file description, which a peer that sent us its eventfd shares. <see cref="Adopt"/>
/// sets it for both: a device must not hang in write(2) because its driver filled the counter and never reads.
/// A peer could clear it again; by that it blocks the thread that serves it, no other.
/// </remarks>
public sealed unsafe class EventFd : IDisposable
{
    private const string KernelName = "anon_inode:[eventfd]";

    private EventFd(FileDescriptor descriptor) => Descriptor = descriptor;

    /// <summary>To register with an <see cref="EventLoop"/> or to send to a peer. Owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Creates a counter at zero: non-blocking, close-on-exec.</summary>
    /// <exception cref="LinuxException">EMFILE, ENFILE.</exception>
    public static EventFd Create()
    {
        int fd = SysEventFd.eventfd(0, SysEventFd.EFD_CLOEXEC | SysEventFd.EFD_NONBLOCK);
        if (fd < 0)
            LinuxException.ThrowLast("eventfd");
        return new EventFd(FileDescriptor.Adopt(fd));
    }

    /// <summary>Takes ownership of an eventfd that came from a peer, and makes it non-blocking.</summary>
    /// <param name="descriptor">Closed also when it is refused.</param>
    /// <exception cref="LinuxException">EINVAL: it is something else. A file could block us in spite of O_NONBLOCK;
    /// a pipe whose other end is closed would be readable for ever and spin our loop.</exception>
    public static EventFd Adopt(FileDescriptor descriptor)
    {
        try
        {
            RequireEventFd(descriptor);
            descriptor.SetNonBlocking();
            return new EventFd(descriptor);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Adds one to the counter, which wakes whoever waits for it. Never blocks, allocates nothing.</summary>
    /// <returns>True when the other side will see a signal; false when the descriptor turned out unusable,
    /// which is the other side's loss and no reason to stop serving.</returns>
    /// <exception cref="ObjectDisposedException">This object was disposed.</exception>
    public bool Signal()
    {
        ulong one = 1;
        while (Unistd.write(Descriptor, &one, sizeof(ulong)) < 0)
        {
            Errno errno = Libc.LastError;
            if (errno != Errno.EINTR)
                return errno == Errno.EAGAIN; // full: 2⁶⁴-2 signals wait there already, one more says nothing new
        }

        return true;
    }

    /// <summary>Takes the counter back to zero. Never blocks, allocates nothing.</summary>
    /// <param name="count">How many signals had come since it was last drained.</param>
    /// <returns>False when none had.</returns>
    /// <exception cref="ObjectDisposedException">This object was disposed.</exception>
    public bool TryDrain(out ulong count)
    {
        ulong value = 0;
        nint read;
        do
            read = Unistd.read(Descriptor, &value, sizeof(ulong));
        while (read < 0 && Libc.LastError == Errno.EINTR);

        count = read == sizeof(ulong) ? value : 0;
        return count != 0;
    }

    /// <summary>Closes the descriptor.</summary>
    public void Dispose() => Descriptor.Dispose();

    private static void RequireEventFd(FileDescriptor descriptor)
    {
        // Without /proc (a sandbox) an anonymous inode is as much as can be found out.
        string? name = descriptor.Describe();
        FileKind kind = FileFacts.Of(descriptor).Kind;
        bool accepted = name is null ? kind == FileKind.Anonymous : name == KernelName;
        if (!accepted)
            throw new LinuxException(Errno.EINVAL, $"adopt {descriptor}", $"it is {name ?? kind.ToString()}, not an eventfd");
    }
}

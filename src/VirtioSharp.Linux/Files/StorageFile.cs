using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>How to open a <see cref="StorageFile"/>.</summary>
/// <param name="Writable">Whether to write to it, too.</param>
/// <param name="Direct">Whether to go past the page cache (O_DIRECT, open(2)): memory, offsets and lengths must then be aligned.</param>
public readonly record struct StorageMode(bool Writable, bool Direct)
{
    /// <summary>Whether others may have it open as well: somebody else sees to it that only one writes.</summary>
    public bool Shared { get; init; }
}

/// <summary>A regular file or block device that is read and written at offsets, from memory that lies in pieces.</summary>
/// <remarks>While it is open, no other program that asks can open it for writing, nor open it at all if this one writes, unless it is shared.</remarks>
public sealed unsafe class StorageFile : IDisposable
{
    private StorageFile(FileDescriptor descriptor, FileKind kind, StorageMode mode, bool isLocked)
    {
        (Descriptor, Kind, Mode, IsLocked) = (descriptor, kind, mode, isLocked);
        (MemoryAlignment, OffsetAlignment) = mode.Direct ? DirectAlignment(descriptor) : (1, 1);
    }

    /// <summary>The open file, for other ways of reading and writing it.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Regular, or a block device.</summary>
    public FileKind Kind { get; }

    /// <summary>How it was opened.</summary>
    public StorageMode Mode { get; }

    /// <summary>What the address of each buffer must be a multiple of.</summary>
    public int MemoryAlignment { get; }

    /// <summary>What offsets, and the length of each buffer, must be a multiple of.</summary>
    public int OffsetAlignment { get; }

    /// <summary>Whether others can know that it is in use; some network file systems have no locks.</summary>
    public bool IsLocked { get; }

    /// <summary>Opens what is there, close-on-exec, and locks it if it is not shared.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="mode">What for.</param>
    /// <exception cref="LinuxException">ENOENT, EACCES, EROFS, …; EISDIR: a directory; ENODEV: nothing that stores bytes;
    /// EBUSY: another program has it open and locked, or a block device to write to is mounted or claimed; EINVAL: it has no O_DIRECT.</exception>
    public static StorageFile Open(string path, StorageMode mode)
    {
        // Without O_NONBLOCK a pipe would wait here for its other end.
        int flags = Fcntl.O_CLOEXEC | Fcntl.O_NONBLOCK | (mode.Writable ? Fcntl.O_RDWR : Fcntl.O_RDONLY) | (mode.Direct ? Fcntl.O_DIRECT : 0);
        FileDescriptor descriptor = TryOpen(path, flags) ?? throw new LinuxException(Libc.LastError, $"open {path}");
        try
        {
            FileKind kind = FileFacts.Of(descriptor).Kind;
            if (kind is not (FileKind.Regular or FileKind.BlockDevice))
                throw new LinuxException(kind == FileKind.Directory ? Errno.EISDIR : Errno.ENODEV, $"open {path}");
            if (kind == FileKind.BlockDevice && mode.Writable && !mode.Shared)
                descriptor = Claimed(descriptor, path, flags);

            // O_NONBLOCK stays on the open file otherwise, and io_uring ends requests with EAGAIN that would have to wait. When a
            // disk was last read is of no use to anybody, and noting it costs each read; but only the file's owner may leave it out.
            int kept = mode.Direct ? Fcntl.O_DIRECT : 0;
            if (Fcntl.fcntl(descriptor, Fcntl.F_SETFL, kept | Fcntl.O_NOATIME) < 0 && Fcntl.fcntl(descriptor, Fcntl.F_SETFL, kept) < 0)
                LinuxException.ThrowLast("fcntl F_SETFL", path);
            return new StorageFile(descriptor, kind, mode, !mode.Shared && Lock(descriptor, path, mode.Writable));
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Its length now; a block device has one, too.</summary>
    /// <exception cref="LinuxException">EIO: the device is gone.</exception>
    public ulong Length
    {
        get
        {
            long end = Unistd.lseek(Descriptor, 0, Unistd.SEEK_END);
            if (end < 0)
                LinuxException.ThrowLast("lseek", Descriptor);
            return (ulong)end;
        }
    }

    /// <summary>Makes a regular file longer, by zeroes that take no storage yet, or shorter (ftruncate(2)).</summary>
    /// <exception cref="LinuxException">EFBIG, EIO, ENOSPC, …</exception>
    public void SetLength(ulong bytes)
    {
        while (Unistd.ftruncate(Descriptor, (long)bytes) < 0)
        {
            Errno errno = Libc.LastError;
            if (errno != Errno.EINTR)
                throw new LinuxException(errno, "ftruncate");
        }
    }

    /// <summary>Fills the buffers from <paramref name="offset"/> on, all of them.</summary>
    /// <param name="buffers">Where to; used up.</param>
    /// <param name="offset">Where from, in bytes.</param>
    /// <returns>None, or why not; ENODATA when the file ends before.</returns>
    public Errno Read(Span<IoVector> buffers, long offset)
    {
        fixed (IoVector* first = buffers)
        {
            for (int done = 0; done < buffers.Length;)
            {
                // One buffer is the common case, and the call for one takes a tenth less than the call for many (of a cached 4 KiB).
                nint moved = buffers.Length - done == 1
                    ? Unistd.pread(Descriptor, (void*)first[done].Address, (nuint)first[done].Length, offset)
                    : SysUio.preadv2(Descriptor, first + done, Math.Min(buffers.Length - done, SysUio.IOV_MAX), offset, 0);
                if (moved == 0)
                    return Errno.ENODATA;
                if (moved < 0 && Libc.LastError is var errno and not Errno.EINTR)
                    return errno;
                offset += Math.Max(moved, 0);
                done += IoVector.Consume(buffers[done..], Math.Max(moved, 0));
            }
        }

        return Errno.None;
    }

    /// <summary>Writes the buffers from <paramref name="offset"/> on, all of them.</summary>
    /// <param name="buffers">What; used up.</param>
    /// <param name="offset">Where to, in bytes.</param>
    /// <param name="stable">Whether it must be on the disk when this returns (RWF_DSYNC, pwritev2(2)).</param>
    /// <returns>None, or why not.</returns>
    public Errno Write(Span<IoVector> buffers, long offset, bool stable)
    {
        int flags = stable ? SysUio.RWF_DSYNC : 0;
        fixed (IoVector* first = buffers)
        {
            for (int done = 0; done < buffers.Length;)
            {
                nint moved = buffers.Length - done == 1 && !stable
                    ? Unistd.pwrite(Descriptor, (void*)first[done].Address, (nuint)first[done].Length, offset)
                    : SysUio.pwritev2(Descriptor, first + done, Math.Min(buffers.Length - done, SysUio.IOV_MAX), offset, flags);
                if (moved == 0)
                    return Errno.ENOSPC;
                if (moved < 0 && Libc.LastError is var errno and not Errno.EINTR)
                    return errno;
                offset += Math.Max(moved, 0);
                done += IoVector.Consume(buffers[done..], Math.Max(moved, 0));
            }
        }

        return Errno.None;
    }

    /// <summary>Makes everything written before stable (fdatasync(2)).</summary>
    /// <returns>None, or why not. After an error nobody knows what is on the disk.</returns>
    public Errno Flush()
    {
        int result;
        do
            result = Unistd.fdatasync(Descriptor);
        while (result < 0 && Libc.LastError == Errno.EINTR);
        return result < 0 ? Libc.LastError : Errno.None;
    }

    /// <summary>Gives a range's storage back; it reads zero then (FALLOC_FL_PUNCH_HOLE, fallocate(2)).</summary>
    /// <returns>None, or why not: EOPNOTSUPP where it cannot be.</returns>
    public Errno PunchHole(long offset, long length) => Allocate(Fcntl.FALLOC_FL_PUNCH_HOLE, offset, length);

    /// <summary>Makes a range read zero and keeps its storage (FALLOC_FL_ZERO_RANGE, fallocate(2)).</summary>
    /// <inheritdoc cref="PunchHole"/>
    public Errno ZeroRange(long offset, long length) => Allocate(Fcntl.FALLOC_FL_ZERO_RANGE, offset, length);

    /// <summary>Closes it, and lets others have it.</summary>
    public void Dispose() => Descriptor.Dispose();

    private Errno Allocate(int mode, long offset, long length)
    {
        int result;
        do
            result = Fcntl.fallocate(Descriptor, mode | Fcntl.FALLOC_FL_KEEP_SIZE, offset, length);
        while (result < 0 && Libc.LastError == Errno.EINTR);
        return result < 0 ? Libc.LastError : Errno.None;
    }

    private static FileDescriptor? TryOpen(string path, int flags)
    {
        int fd;
        do
            fd = Fcntl.open(path, flags);
        while (fd < 0 && Libc.LastError == Errno.EINTR);
        return fd < 0 ? null : FileDescriptor.Adopt(fd);
    }

    /// <summary>The same block device, opened so that nobody can mount or claim it, and only if nobody has (O_EXCL, open(2)).
    /// With other files the flag means nothing that is defined, so it comes when the kind is known.</summary>
    private static FileDescriptor Claimed(FileDescriptor device, string path, int flags)
    {
        FileDescriptor? claimed = TryOpen($"/proc/self/fd/{device.Number}", flags | Fcntl.O_EXCL);
        if (claimed is null)
        {
            Errno errno = Libc.LastError;
            throw errno == Errno.EBUSY
                ? new LinuxException(errno, $"open {path}", "it is mounted, or something else has claimed it")
                : new LinuxException(errno, $"open {path}");
        }

        device.Dispose();
        return claimed;
    }

    /// <summary>Kernels before 6.1, and some file systems, do not say: a page is enough for all that are common.</summary>
    private static (int Memory, int Offset) DirectAlignment(FileDescriptor descriptor)
    {
        const int Page = 4096;
        SysStat.Statx facts;
        byte empty = 0;
        bool says = SysStat.statx(descriptor, &empty, SysStat.AT_EMPTY_PATH, SysStat.STATX_DIOALIGN, &facts) == 0
            && (facts.Mask & SysStat.STATX_DIOALIGN) != 0 && facts.DirectMemoryAlignment > 0 && facts.DirectOffsetAlignment > 0;
        return says ? ((int)facts.DirectMemoryAlignment, (int)facts.DirectOffsetAlignment) : (Page, Page);
    }

    /// <summary>The lock belongs to this open file, not to the process, and ends with it (F_OFD_SETLK, fcntl(2)).</summary>
    private static bool Lock(FileDescriptor descriptor, string path, bool writable)
    {
        Fcntl.Flock whole = new() { Type = writable ? Fcntl.F_WRLCK : Fcntl.F_RDLCK };
        if (Fcntl.fcntl(descriptor, Fcntl.F_OFD_SETLK, &whole) == 0)
            return true;
        return Libc.LastError is Errno.EAGAIN or Errno.EACCES
            ? throw new LinuxException(Errno.EBUSY, $"open {path}", "another program has it open")
            : false;
    }
}

using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Reads, writes and flushes that go on while this thread does something else (io_uring(7)).</summary>
/// <remarks>
/// One thread. What is prepared begins with <see cref="Submit"/>, and ends in any order; each end is taken once.
/// <code>
///   Read, Write, Flush ─► submission queue ─► Submit ─► kernel ─► completion queue ─► TryTake
///                         shared memory                           shared memory, and the descriptor is readable
/// </code>
/// Nothing is lost when more ends than the completion queue holds: the kernel keeps the rest, and the next <see cref="Submit"/>
/// after the last end was taken brings it, also one without anything prepared.
/// </remarks>
public sealed unsafe class IoUring : IDisposable
{
    private readonly RingMemory _rings, _entries;
    private readonly SysIoUring.Sqe* _submissions;
    private readonly SysIoUring.Cqe* _completions;
    private readonly uint* _submissionHead, _submissionTail, _submissionFlags, _completionHead, _completionTail;
    private readonly uint _submissionMask, _completionMask, _size;
    private uint _tail; // ours; the kernel sees it with Submit

    private IoUring(FileDescriptor descriptor, in SysIoUring.Params layout)
    {
        Descriptor = descriptor;
        uint rings = Math.Max(layout.SqArray + layout.SqEntries * sizeof(uint), layout.Cqes + layout.CqEntries * (uint)sizeof(SysIoUring.Cqe));
        _rings = new RingMemory(descriptor, rings, SysIoUring.IORING_OFF_SQ_RING);
        try
        {
            _entries = new RingMemory(descriptor, layout.SqEntries * (uint)sizeof(SysIoUring.Sqe), SysIoUring.IORING_OFF_SQES);
        }
        catch
        {
            _rings.Dispose();
            throw;
        }

        byte* start = (byte*)_rings.Address;
        _submissions = (SysIoUring.Sqe*)_entries.Address;
        _completions = (SysIoUring.Cqe*)(start + layout.Cqes);
        _submissionHead = (uint*)(start + layout.SqHead);
        _submissionTail = (uint*)(start + layout.SqTail);
        _submissionFlags = (uint*)(start + layout.SqFlags);
        _completionHead = (uint*)(start + layout.CqHead);
        _completionTail = (uint*)(start + layout.CqTail);
        (_submissionMask, _completionMask) = (*(uint*)(start + layout.SqMask), *(uint*)(start + layout.CqMask));
        _size = layout.SqEntries;
        uint* order = (uint*)(start + layout.SqArray);
        for (uint i = 0; i < _size; i++)
            order[i] = i; // entries are always used in the order of their places
    }

    /// <summary>Readable while there are ends to take.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Whether no more can be prepared before <see cref="Submit"/>.</summary>
    public bool IsFull => Prepared == _size;

    /// <summary>Whether something waits for <see cref="Submit"/>; also after it, when too much is under way.</summary>
    public bool HasPrepared => Prepared > 0;

    /// <summary>Sets a ring up, close-on-exec.</summary>
    /// <param name="entries">How many can be prepared for one submission; the kernel makes it a power of two.</param>
    /// <exception cref="LinuxException">ENOSYS, EPERM: the kernel has no io_uring, or not for us; ENOMEM.</exception>
    public static IoUring Create(int entries)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(entries);
        SysIoUring.Params layout = new() { Flags = SysIoUring.IORING_SETUP_CLAMP | SysIoUring.IORING_SETUP_CQSIZE, CqEntries = (uint)entries * 8 };
        nint fd = SysIoUring.syscall(SysIoUring.SYS_io_uring_setup, entries, &layout);
        if (fd < 0)
            LinuxException.ThrowLast("io_uring_setup");
        FileDescriptor descriptor = FileDescriptor.Adopt((int)fd);
        // The last one is Linux 5.9's: from 5.8 on, the kernel says that it keeps ends for which there was no room.
        const uint needed = SysIoUring.IORING_FEAT_SINGLE_MMAP | SysIoUring.IORING_FEAT_NODROP | SysIoUring.IORING_FEAT_POLL_32BITS;
        try
        {
            return (layout.Features & needed) == needed ? new IoUring(descriptor, layout)
                : throw new LinuxException(Errno.ENOSYS, "io_uring_setup", "the kernel's io_uring is too old, it takes Linux 5.9");
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Prepares a read into the buffers.</summary>
    /// <param name="file">The file; open until the end is taken.</param>
    /// <param name="buffers">Where to, 1024 at the most; list and memory must stay where they are until the end is taken.</param>
    /// <param name="count">How many.</param>
    /// <param name="offset">Where from, in bytes.</param>
    /// <param name="tag">Names it at its end.</param>
    /// <exception cref="InvalidOperationException"><see cref="IsFull"/>.</exception>
    public void Read(FileDescriptor file, IoVector* buffers, int count, long offset, ulong tag) =>
        Prepare(SysIoUring.IORING_OP_READV, file.Number, buffers, count, offset, 0, tag);

    /// <summary>Prepares a write of the buffers.</summary>
    /// <inheritdoc cref="Read"/>
    /// <param name="file">The file; open until the end is taken.</param>
    /// <param name="buffers">What, 1024 at the most; list and memory must stay where they are until the end is taken.</param>
    /// <param name="count">How many.</param>
    /// <param name="offset">Where to, in bytes.</param>
    /// <param name="stable">Whether it must be on the disk at its end.</param>
    /// <param name="tag">Names it at its end.</param>
    public void Write(FileDescriptor file, IoVector* buffers, int count, long offset, bool stable, ulong tag) =>
        Prepare(SysIoUring.IORING_OP_WRITEV, file.Number, buffers, count, offset, stable ? (uint)SysUio.RWF_DSYNC : 0, tag);

    /// <summary>Prepares an fdatasync(2): what has ended before is stable at its end.</summary>
    /// <inheritdoc cref="Read"/>
    public void Flush(FileDescriptor file, ulong tag) => Prepare(SysIoUring.IORING_OP_FSYNC, file.Number, null, 0, 0, SysIoUring.IORING_FSYNC_DATASYNC, tag);

    /// <summary>Prepares to cancel what is under way. Both end: what was cancelled with ECANCELED, or EINTR if it had begun, or as ever
    /// if it was too late.</summary>
    /// <param name="target">How that was named.</param>
    /// <param name="tag">Names this at its end.</param>
    /// <exception cref="InvalidOperationException"><see cref="IsFull"/>.</exception>
    public void Cancel(ulong target, ulong tag) => Prepare(SysIoUring.IORING_OP_ASYNC_CANCEL, -1, (void*)target, 0, 0, 0, tag);

    /// <summary>Lets the kernel begin what is prepared, and bring the ends for which there was no room.</summary>
    /// <param name="wait">Whether to return only when there is an end to take. Something must be under way then.</param>
    /// <exception cref="LinuxException">ENOMEM.</exception>
    public void Submit(bool wait = false)
    {
        Volatile.Write(ref *_submissionTail, _tail);
        do
        {
            bool sleep = wait && !HasEnds, fetch = !HasEnds && HasOverflowed;
            if (Prepared == 0 && !sleep && !fetch)
                return;
            nint done = SysIoUring.syscall(
                SysIoUring.SYS_io_uring_enter, Descriptor.Number, (nint)Prepared, sleep ? 1 : 0,
                (nint)(sleep || fetch ? SysIoUring.IORING_ENTER_GETEVENTS : 0), 0, 0);
            if (done >= 0)
                continue;
            // EAGAIN, EBUSY: too much is under way, or too many ends wait. Entries stay prepared; the caller takes ends first.
            Errno errno = Libc.LastError;
            if (errno is Errno.EAGAIN or Errno.EBUSY)
                return;
            if (errno != Errno.EINTR)
                throw new LinuxException(errno, "io_uring_enter");
        }
        while (Prepared > 0 || (wait && !HasEnds));
    }

    /// <summary>Takes back what was prepared last, and has not begun.</summary>
    /// <param name="tag">What it was named.</param>
    /// <returns>False when all has begun.</returns>
    public bool TryWithdraw(out ulong tag)
    {
        tag = 0;
        if (!HasPrepared)
            return false;
        tag = _submissions[--_tail & _submissionMask].UserData;
        Volatile.Write(ref *_submissionTail, _tail); // read in io_uring_enter only
        return true;
    }

    /// <summary>Takes one end.</summary>
    /// <param name="tag">What it was named.</param>
    /// <param name="result">What the system call would have returned, or −errno.</param>
    /// <returns>False when there is none now.</returns>
    public bool TryTake(out ulong tag, out int result)
    {
        uint head = *_completionHead;
        if (head == Volatile.Read(ref *_completionTail))
        {
            (tag, result) = (0, 0);
            return false;
        }

        SysIoUring.Cqe* end = &_completions[head & _completionMask];
        (tag, result) = (end->UserData, end->Result);
        Volatile.Write(ref *_completionHead, head + 1); // after the reads: the kernel may use the place again
        return true;
    }

    /// <summary>Closes the ring. Nothing may be under way: the kernel would still write to the buffers.</summary>
    public void Dispose()
    {
        Descriptor.Dispose();
        _rings.Dispose();
        _entries.Dispose();
    }

    private uint Prepared => _tail - Volatile.Read(ref *_submissionHead);

    private bool HasEnds => *_completionHead != Volatile.Read(ref *_completionTail);

    private bool HasOverflowed => (Volatile.Read(ref *_submissionFlags) & SysIoUring.IORING_SQ_CQ_OVERFLOW) != 0;

    private void Prepare(byte operation, int file, void* address, int count, long offset, uint flags, ulong tag)
    {
        if (IsFull)
            throw new InvalidOperationException("the submission queue is full: submit first");
        _submissions[_tail & _submissionMask] = new SysIoUring.Sqe
        {
            Opcode = operation,
            Fd = file,
            Address = (IoVector*)address,
            Length = (uint)count,
            Offset = offset,
            Flags = flags,
            UserData = tag,
        };
        _tail++;
    }

    /// <summary>A part of the ring that the kernel shares.</summary>
    private sealed class RingMemory : IDisposable
    {
        private readonly nuint _length;

        public RingMemory(FileDescriptor ring, uint length, long offset)
        {
            _length = length;
            Address = SysMman.mmap(0, length, SysMman.PROT_READ | SysMman.PROT_WRITE, SysMman.MAP_SHARED, ring, offset);
            if (Address == SysMman.MAP_FAILED)
                LinuxException.ThrowLast("mmap", ring);
        }

        public nint Address { get; private set; }

        public void Dispose()
        {
            if (Address != 0)
                _ = SysMman.munmap(Address, _length);
            Address = 0; // somebody else's soon
        }
    }
}

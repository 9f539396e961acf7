using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Block;

/// <summary>A <see cref="FileBackend"/> whose reads, writes and flushes go on while the device serves the next request (io_uring).</summary>
/// <remarks>
/// Worth it where the storage itself takes time: past the page cache. One ring for all queues, as one thread serves them;
/// what a turn of the loop brings begins with one system call. What is rare is done at once, as the other back-end does it.
/// </remarks>
public sealed unsafe class UringBackend : IBlockBackend, IReadyHandler, IDeferred, IIdlePoller
{
    private const int MaxPrepared = 256;
    private const ulong Cancellation = ulong.MaxValue; // a tag that names no slot
    private const int MaxBuffers = 1024; // of one system call (IOV_MAX)

    private readonly FileBackend _atOnce;
    private readonly StorageFile _file;
    private readonly IoUring _ring;
    private readonly Stack<int> _free = new();
    private Slot[] _slots = [];
    private readonly ILogger _log;
    private readonly FlushTurns _flushes = new();
    private long _stableWrites, _lastStable; // begun so far, and before the flush had ended
    private int _flushSlot = -1;             // of a flush that has ended, and is not answered
    private Errno _flushErrno;
    private EventLoop? _loop;
    private bool _wasRefused;
    private int _suspended = -1; // the queue whose operations are given up

    /// <summary>Takes an open file; it is closed with this.</summary>
    /// <param name="file">The file.</param>
    /// <param name="log">Is told of errors, once of each kind.</param>
    /// <exception cref="LinuxException">There is no io_uring here.</exception>
    /// <exception cref="ArgumentException">It is opened for direct access, and its length is not.</exception>
    public UringBackend(StorageFile file, ILogger? log = null)
    {
        (_file, _log, _ring) = (file, log ?? NullLogger.Instance, IoUring.Create(MaxPrepared));
        try
        {
            _atOnce = new FileBackend(file, log);
        }
        catch
        {
            _ring.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public BlockBackendTraits Traits => _atOnce.Traits;

    /// <inheritdoc/>
    public ulong Length => _atOnce.Length;

    /// <summary>Operations under way.</summary>
    public int InFlight { get; private set; }

    /// <inheritdoc/>
    public void Resize(ulong length)
    {
        FinishAll(); // a write under way would make a shorter file long again
        _atOnce.Resize(length);
    }

    /// <summary>Joins the loop in which the device lives. Without one, somebody calls <see cref="Pump"/>.</summary>
    public void Join(EventLoop loop)
    {
        _loop = loop;
        _ = loop.Register(_ring.Descriptor, EpollEvents.In, this);
        loop.AddIdlePoller(this);
    }

    /// <inheritdoc/>
    public void Submit(BlockOperation operation)
    {
        switch (operation.Kind)
        {
            case BlockOperationKind.Read or BlockOperationKind.Write when _atOnce.Takes(operation):
                Begin(operation);
                break;
            case BlockOperationKind.Flush when !_atOnce.HasLost:
                if (_flushes.Add(operation))
                    Begin(operation);
                break;
            case BlockOperationKind.Write or BlockOperationKind.WriteZeroes:
                // These may read, change and write whole blocks: nobody else may write to them meanwhile.
                FinishAll();
                _atOnce.Submit(operation);
                break;
            default:
                _atOnce.Submit(operation);
                break;
        }
    }

    /// <summary>Begins what was submitted, and completes what has ended.</summary>
    /// <param name="wait">Whether to wait until something has, if anything is under way.</param>
    /// <returns>Whether something had.</returns>
    public bool Pump(bool wait = false)
    {
        bool any = false, more;
        do
        {
            more = Submit(wait && !any && InFlight > 0);
            any |= more;
            while (_ring.TryTake(out ulong tag, out int result))
            {
                any = more = true;
                End(tag, result);
            }
        }
        while (more); // an end may have prepared a rest, or made room for ends that the kernel has kept

        if (_ring.HasPrepared)
            _loop?.Defer(this); // the kernel takes no more for now
        return any;
    }

    /// <inheritdoc/>
    public void Finish(int queue)
    {
        while (IsBusyWith(queue))
            Pump(wait: true);
    }

    /// <inheritdoc/>
    public void Suspend(int queue)
    {
        _suspended = queue;
        try
        {
            for (int index = 0; index < _slots.Length; index++)
            {
                MakeRoom(); // which may end some
                if (_slots[index].Operation is { } operation && operation.Queue == queue && CanBeGivenUp(operation))
                    _ring.Cancel((ulong)index, Cancellation);
            }

            Finish(queue);
        }
        finally
        {
            _suspended = -1;
        }
    }

    /// <inheritdoc/>
    public void OnReady(EpollEvents ready) => Pump();

    /// <inheritdoc/>
    public void TakeTurn() => Pump();

    /// <inheritdoc/>
    public bool Poll() => InFlight > 0 && Pump();

    /// <inheritdoc/>
    public void Dispose()
    {
        FinishAll();
        _ring.Dispose();
        _atOnce.Dispose();
    }

    /// <summary>Begins what is prepared; what the kernel refuses is done without it, and what it has begun ends in the ring all the same.</summary>
    /// <returns>Whether something was done so.</returns>
    private bool Submit(bool wait)
    {
        try
        {
            _ring.Submit(wait);
            return false;
        }
        catch (LinuxException refused)
        {
            if (!_wasRefused)
                _log.RingRefused(refused.Message);
            _wasRefused = true;
            bool any = false;
            for (; _ring.TryWithdraw(out ulong tag); any = true)
                if (tag != Cancellation)
                    DoNow((int)tag);
            return any;
        }
    }

    private void Begin(BlockOperation operation)
    {
        MakeRoom();
        if (!_free.TryPop(out int index))
            index = Grow();
        bool isStable = operation is { Kind: BlockOperationKind.Write, MustBeStable: true };
        _slots[index] = new Slot(operation, 0, operation.Offset, isStable ? ++_stableWrites : 0);
        InFlight++;
        Prepare(index);
    }

    private void MakeRoom()
    {
        while (_ring.IsFull)
            Pump(); // also takes ends, for which a kernel may wait before it begins more
    }

    private void Prepare(int index)
    {
        MakeRoom();
        ref Slot slot = ref _slots[index];
        BlockOperation operation = slot.Operation!;
        Span<IoVector> rest = MemoryMarshal.Cast<IoBuffer, IoVector>(operation.Buffers)[slot.Buffer..];
        var first = (IoVector*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(rest)); // pinned, as operations promise
        int count = Math.Min(rest.Length, MaxBuffers);
        if (operation.Kind == BlockOperationKind.Flush)
            _ring.Flush(_file.Descriptor, (ulong)index);
        else if (operation.Kind == BlockOperationKind.Read)
            _ring.Read(_file.Descriptor, first, count, slot.Offset, (ulong)index);
        else
            _ring.Write(_file.Descriptor, first, count, slot.Offset, operation.MustBeStable, (ulong)index);
        _loop?.Defer(this); // together with what else this turn brings
    }

    private void End(ulong tag, int result)
    {
        if (tag == Cancellation)
            return;
        int index = (int)tag;
        ref Slot slot = ref _slots[index];
        BlockOperation operation = slot.Operation!;
        Errno errno = result < 0 ? (Errno)(-result) : Errno.None;
        if (errno is Errno.EINTR or Errno.ECANCELED && operation.Queue == _suspended && CanBeGivenUp(operation))
        {
            Abandon(index);
            return;
        }

        if (errno is Errno.EINTR or Errno.ECANCELED)
        {
            Prepare(index);
            return;
        }

        if (errno == Errno.EAGAIN)
        {
            DoNow(index); // the file is one that the ring does not wait for
            return;
        }

        if (errno == Errno.None && operation.Kind != BlockOperationKind.Flush)
        {
            if (result == 0)
                errno = operation.Kind == BlockOperationKind.Read ? Errno.ENODATA : Errno.ENOSPC;
            else if (!Consume(ref slot, result))
            {
                Prepare(index);
                return;
            }
        }

        Complete(index, errno);
    }

    /// <summary>Does without the ring what is left of an operation.</summary>
    private void DoNow(int index)
    {
        Slot slot = _slots[index];
        Complete(index, _atOnce.DoRest(slot.Operation!, slot.Buffer, slot.Offset));
    }

    private void Complete(int index, Errno errno)
    {
        (BlockOperation operation, long stable) = (_slots[index].Operation!, _slots[index].Stable);
        if (operation.Kind == BlockOperationKind.Flush)
        {
            (_flushSlot, _flushErrno, _lastStable) = (index, errno, _stableWrites);
            EndFlush();
            return;
        }

        Release(index);
        _atOnce.Complete(operation, errno); // the device may submit another: nothing of ours may be half done here
        if (stable > 0)
            EndFlush();
    }

    private void Abandon(int index)
    {
        (BlockOperation operation, long stable) = (_slots[index].Operation!, _slots[index].Stable);
        Release(index);
        operation.Abandon();
        if (stable > 0)
            EndFlush();
    }

    private void Release(int index)
    {
        _slots[index] = default;
        _free.Push(index);
        InFlight--;
    }

    /// <summary>
    /// Answers the flush that has ended, when the stable writes have ended that were under way beside it: the kernel tells a
    /// lost write to one of them, and then the flush has failed as well.
    /// </summary>
    private void EndFlush()
    {
        if (_flushSlot < 0)
            return;
        foreach (Slot slot in _slots)
        {
            if (slot.Stable > 0 && slot.Stable <= _lastStable)
                return;
        }

        Release(_flushSlot);
        _flushSlot = -1;
        Errno errno = _atOnce.Flushed(_flushErrno);
        if (errno != Errno.None)
            _atOnce.Tell(_flushes.First, errno);
        for (bool more = _flushes.End(FileBackend.StatusOf(errno)); more; more = _flushes.End(BlockStatus.IoError))
        {
            if (_atOnce.HasLost)
                continue;
            Begin(_flushes.First);
            return;
        }
    }

    /// <summary>Leaves behind what has been moved.</summary>
    /// <returns>Whether that was all.</returns>
    private static bool Consume(ref Slot slot, int bytes)
    {
        Span<IoVector> rest = MemoryMarshal.Cast<IoBuffer, IoVector>(slot.Operation!.Buffers)[slot.Buffer..];
        int done = IoVector.Consume(rest, bytes);
        slot = slot with { Buffer = slot.Buffer + done, Offset = slot.Offset + bytes };
        return done == rest.Length;
    }

    /// <summary>A flush is waited for: it may be that of other queues, too.</summary>
    private static bool CanBeGivenUp(BlockOperation operation) => operation.Kind != BlockOperationKind.Flush;

    private bool IsBusyWith(int queue)
    {
        foreach (Slot slot in _slots)
        {
            if (slot.Operation?.Queue == queue)
                return true;
        }

        return _flushes.IsBusyWith(queue);
    }

    private void FinishAll()
    {
        while (InFlight > 0)
            Pump(wait: true);
    }

    private int Grow()
    {
        int size = _slots.Length;
        Array.Resize(ref _slots, Math.Max(64, size * 2));
        for (int index = _slots.Length - 1; index > size; index--)
            _free.Push(index);
        return size;
    }

    /// <summary>An operation under way.</summary>
    /// <param name="Operation">Which.</param>
    /// <param name="Buffer">Its first buffer that is not done.</param>
    /// <param name="Offset">Where that goes.</param>
    /// <param name="Stable">Its number among the writes that must be stable; 0 if it is none.</param>
    private readonly record struct Slot(BlockOperation? Operation, int Buffer, long Offset, long Stable);
}

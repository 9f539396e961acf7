using System.Diagnostics.CodeAnalysis;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Queues;

/// <summary>The driver's end of an enabled queue, whatever its ring format.</summary>
public abstract class DriverQueue
{
    private readonly IDriverQueueObserver? _observer;

    private protected DriverQueue(IDriverTransport transport, int index) =>
        (Transport, Index, _observer) = (transport, index, transport.QueueObserver);

    /// <summary>The queue's number.</summary>
    public int Index { get; }

    /// <summary>Where it lies.</summary>
    public abstract QueueLayout Layout { get; }

    /// <summary>Adds one chain. The device sees it with the next <see cref="Kick"/>.</summary>
    /// <param name="readable">What the device reads, in order.</param>
    /// <param name="writable">Where it writes, in order.</param>
    /// <param name="id">Names the chain until <see cref="TryGet"/> returns it.</param>
    /// <returns>False when the queue is too full.</returns>
    /// <exception cref="ArgumentException">There is no buffer (§2.7.4 wants one).</exception>
    /// <exception cref="QueueException">The queue is broken, or its device is gone.</exception>
    public bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        if (readable.Length + writable.Length == 0)
            throw new ArgumentException("a chain has one buffer at the least", nameof(writable));
        _observer?.Began(this, DriverQueueOperation.Add);
        bool added = Add(readable, writable, out id);
        if (_observer is { } observer)
            TellAdded(observer, added ? id : null, readable, writable);
        return added;
    }

    /// <summary>Takes the next chain that the device has used.</summary>
    /// <param name="id">What <see cref="TryAdd"/> called it.</param>
    /// <param name="length">Bytes the device says it wrote, at most what it had room for.</param>
    /// <returns>False when there is none.</returns>
    /// <exception cref="QueueException">The device used what was never given to it. It has been reset, so that it writes to our memory no more.</exception>
    public bool TryGet(out ushort id, out uint length)
    {
        _observer?.Began(this, DriverQueueOperation.Get);
        bool got = Get(out id, out length);
        _observer?.Ended(this, DriverQueueOperation.Get, got ? id : null, length);
        return got;
    }

    /// <summary>Shows the device what was added, and notifies it if it wants that.</summary>
    public void Kick()
    {
        _observer?.Began(this, DriverQueueOperation.Kick);
        if (Publish())
            Transport.Notify(new QueueNotification((ushort)Index, NotificationPosition));
        _observer?.Ended(this, DriverQueueOperation.Kick, null, 0);
    }

    /// <summary>Waits until the device has used something, at the longest <paramref name="timeout"/>; for ever if it is infinite.</summary>
    /// <returns>False when the time ran out.</returns>
    /// <exception cref="QueueException">As for <see cref="TryGet"/>.</exception>
    public bool Wait(TimeSpan timeout, out ushort id, out uint length)
    {
        long start = Transport.Time.GetTimestamp();
        if (timeout == Timeout.InfiniteTimeSpan)
            timeout = TimeSpan.MaxValue;
        while (!TryGet(out id, out length))
        {
            // Order matters: arm, look once more, and only then sleep.
            if (RearmInterrupts())
                continue;
            TimeSpan left = timeout - Transport.Time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || Transport.WaitForInterrupt([InterruptSource.Queue(Index)], left) == InterruptSource.None)
                return TryGet(out id, out length);
        }

        return true;
    }

    /// <summary>
    /// Where a new device goes on that takes the place of one that died (a vhost-user back-end that is started again), so that every
    /// chain in flight is used exactly once. The old device must not touch the ring any more.
    /// </summary>
    /// <param name="isTracked">Whether the new device knows from elsewhere which chains the old one had taken and not used. Otherwise it
    /// is shown all of them again, as the ring's next.</param>
    /// <exception cref="QueueException">The old device broke the ring; or it is a packed one whose chains were used out of order: their
    /// descriptors have been written over, and nobody kept them.</exception>
    public abstract QueueSnapshot ResumeAt(bool isTracked);

    private void TellAdded(IDriverQueueObserver observer, ushort? id, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        if (id is { } added)
            observer.Added(this, added, readable, writable);
        observer.Ended(this, DriverQueueOperation.Add, id, 0);
    }

    private protected IDriverTransport Transport { get; }

    private protected abstract ushort NotificationPosition { get; }

    private protected abstract bool Add(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id);

    private protected abstract bool Get(out ushort id, out uint length);

    private protected abstract bool Publish();

    /// <summary>Asks the device to interrupt; true when something is used already.</summary>
    internal abstract bool RearmInterrupts();

    /// <summary>What was wrong with it, or null.</summary>
    internal abstract string? Broken { get; }

    /// <summary>Nothing that the device does in it is believed any more, nor is it notified.</summary>
    internal abstract void Break(string reason);

    /// <summary>Empties it, in the same place, for a device that has been reset. What was in flight is forgotten.</summary>
    internal abstract void Restart();
}

/// <summary>The driver's queue over one ring format (<typeparamref name="TRing"/> is a struct).</summary>
internal sealed class DriverQueue<TRing> : DriverQueue
    where TRing : struct, IDriverRing<TRing>
{
#pragma warning disable IDE0044 // TRing is a mutable struct: readonly would call it on copies
    private TRing _ring;
#pragma warning restore IDE0044
    private readonly QueueOptions _options;
    private readonly ulong _start, _end; // its part of the arena
    private string? _broken;

    public DriverQueue(IDriverTransport transport, int index, int size, QueueOptions options)
        : base(transport, index)
    {
        _options = options;
        _start = transport.Dma.Mark;
        _ring = TRing.Create(size, transport.Dma, options);
        _end = transport.Dma.Mark;
    }

    public override QueueLayout Layout => _ring.Layout;

    private protected override ushort NotificationPosition => _ring.NotificationPosition;

    private protected override bool Get(out ushort id, out uint length)
    {
        ThrowIfBroken();
        try
        {
            return _ring.TryGet(out id, out length);
        }
        catch (QueueException broken)
        {
            _broken = broken.Message; // for good: a ring that lied once is not believed again
            Transport.WriteStatus(DeviceStatus.Reset);
            throw;
        }
    }

    private protected override bool Add(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        ThrowIfBroken(); // its memory may be gone with the device
        return _ring.TryAdd(readable, writable, out id);
    }

    private protected override bool Publish() => _broken is null && _ring.Publish();

    public override QueueSnapshot ResumeAt(bool isTracked)
    {
        ThrowIfBroken();
        return _ring.ResumeAt(isTracked);
    }

    internal override bool RearmInterrupts() => _broken is null && _ring.RearmInterrupts();

    internal override string? Broken => _broken;

    internal override void Break(string reason) => _broken ??= reason;

    internal override void Restart()
    {
        using DmaArena memory = Transport.Dma.Again(_start, _end);
        _ring = TRing.Create(_ring.Layout.Size, memory, _options);
        _broken = null;
    }

    private void ThrowIfBroken()
    {
        if (_broken is not null)
            Throw(_broken);
    }

    [DoesNotReturn]
    private static void Throw(string broken) => throw new QueueException(broken);
}

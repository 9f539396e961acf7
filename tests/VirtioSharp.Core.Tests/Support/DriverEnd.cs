using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A driver's ring of any format, for tests that say the same of all.</summary>
internal abstract class DriverEnd
{
    public abstract QueueLayout Layout { get; }

    public abstract int Free { get; }

    public abstract bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id);

    public abstract bool Publish();

    public abstract bool TryGet(out ushort id, out uint length);

    public abstract void SuppressInterrupts();

    public abstract bool RearmInterrupts();

    /// <summary>A queue over a ring of the same format.</summary>
    public abstract DriverQueue CreateQueue(IDriverTransport transport, int size);
}

internal sealed class DriverEnd<TRing>(int size, DmaArena arena, QueueOptions options) : DriverEnd
    where TRing : struct, IDriverRing<TRing>
{
#pragma warning disable IDE0044 // a mutable struct behind a type parameter: readonly would call it on copies
    private TRing _ring = TRing.Create(size, arena, options);
#pragma warning restore IDE0044

    public override QueueLayout Layout => _ring.Layout;

    public override int Free => _ring.Free;

    public override bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id) => _ring.TryAdd(readable, writable, out id);

    public override bool Publish() => _ring.Publish();

    public override bool TryGet(out ushort id, out uint length) => _ring.TryGet(out id, out length);

    public override void SuppressInterrupts() => _ring.SuppressInterrupts();

    public override bool RearmInterrupts() => _ring.RearmInterrupts();

    public override DriverQueue CreateQueue(IDriverTransport transport, int size) => new DriverQueue<TRing>(transport, 0, size, default);
}

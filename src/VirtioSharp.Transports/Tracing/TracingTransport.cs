using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Tracing;

/// <summary>A transport that records what its driver asks for, on the way to another that does it.</summary>
/// <param name="inner">The way to the device; disposed with this one.</param>
/// <param name="walk">Where the steps go. It is closed when the first request has come back.</param>
/// <param name="rings">Watches the queues that the driver enables.</param>
public sealed class TracingTransport(IDriverTransport inner, Walk walk, RingWatch rings) : IDriverTransport, IDriverQueueObserver
{
    private FeatureSet _accepted;
    private WalkStep? _operation;
    private readonly Dictionary<(int Queue, ushort Id), DmaBuffer[]> _writable = []; // of what is in flight

    /// <inheritdoc/>
    public DeviceId DeviceId => inner.DeviceId;

    /// <inheritdoc/>
    public uint VendorId => inner.VendorId;

    /// <inheritdoc/>
    public int QueueCount => inner.QueueCount;

    /// <inheritdoc/>
    public DmaArena Dma => inner.Dma;

    /// <inheritdoc/>
    public TimeProvider Time => inner.Time;

    /// <inheritdoc/>
    public int LegacyAlignment => inner.LegacyAlignment;

    /// <inheritdoc/>
    public IDriverQueueObserver? QueueObserver => this;

    /// <inheritdoc/>
    public InterruptKind UseInterrupts(int queues, InterruptKind best = InterruptKind.VectorPerQueue)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "find_vqs", "§4.1.5.1.2");
        InterruptKind kind = inner.UseInterrupts(queues, best);
        walk.End(step, $"{queues} queue{(queues == 1 ? "" : "s")}, interrupts: {kind}");
        return kind;
    }

    /// <inheritdoc/>
    public FeatureSet ReadDeviceFeatures()
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "read device features", "§2.2");
        FeatureSet features = inner.ReadDeviceFeatures();
        walk.End(step, $"offered: {features}");
        return features;
    }

    /// <inheritdoc/>
    public void WriteDriverFeatures(FeatureSet features)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "write driver features", "§2.2");
        inner.WriteDriverFeatures(features);
        _accepted = features;
        walk.End(step, $"accepted: {features}");
    }

    /// <inheritdoc/>
    public DeviceStatus ReadStatus()
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "read status", "§2.1");
        DeviceStatus status = inner.ReadStatus();
        walk.End(step, $"{status}");
        return status;
    }

    /// <inheritdoc/>
    public void WriteStatus(DeviceStatus status)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, NameOf(status), status == DeviceStatus.Reset ? "§2.4" : "§3.1.1");
        inner.WriteStatus(status);
        walk.End(step, $"status ← {status}");
    }

    /// <inheritdoc/>
    public void ReadConfiguration(uint offset, Span<byte> destination)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "read configuration", "§2.5");
        inner.ReadConfiguration(offset, destination);
        walk.End(step, $"{destination.Length} bytes at {offset}: {Convert.ToHexStringLower(destination)}");
    }

    /// <inheritdoc/>
    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "write configuration", "§2.5");
        inner.WriteConfiguration(offset, source);
        walk.End(step, $"{source.Length} bytes at {offset}: {Convert.ToHexStringLower(source)}");
    }

    /// <inheritdoc/>
    public uint ReadConfigurationGeneration() => inner.ReadConfigurationGeneration();

    /// <inheritdoc/>
    public int ReadMaxQueueSize(int index)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "read queue size", "§4.1.5.1.3");
        int size = inner.ReadMaxQueueSize(index);
        walk.End(step, $"queue {index}: at most {size} entries");
        return size;
    }

    /// <inheritdoc/>
    public void EnableQueue(int index, in QueueLayout layout)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "setup_vq", "§4.1.5.1.3");
        inner.EnableQueue(index, layout);
        NoteEnabled(step, index, layout);
    }

    /// <inheritdoc/>
    public void EnableQueue(DriverQueue queue)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "setup_vq", "§4.1.5.1.3");
        inner.EnableQueue(queue);
        NoteEnabled(step, queue.Index, queue.Layout);
    }

    /// <inheritdoc/>
    public void ResetQueue(int index)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "reset queue", "§2.6.1");
        inner.ResetQueue(index);
        walk.End(step, $"queue {index}");
    }

    /// <inheritdoc/>
    public void Notify(QueueNotification notification)
    {
        WalkStep? step = walk.Begin(WalkSide.Transport, "notify", "§2.3");
        inner.Notify(notification);
        walk.End(step, $"queue {notification.Queue}");
    }

    /// <inheritdoc/>
    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        WalkStep? step = walk.Begin(WalkSide.Transport, "handler", "§2.3");
        InterruptSource source = inner.WaitForInterrupt(sources, timeout);
        walk.End(step, source == InterruptSource.None ? "nothing came" : $"{source}");
        if (source.IsQueue)
            rings.Explain(step, source.QueueIndex);
        return source;
    }

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();

    void IDriverQueueObserver.Began(DriverQueue queue, DriverQueueOperation operation)
    {
        if (!walk.IsRecording)
            return;
        if (operation == DriverQueueOperation.Add)
            walk.RingBefore ??= rings.Take(queue.Index);
        if (operation == DriverQueueOperation.Get)
            TakeInterrupt(queue.Index);
        (string name, string section) = operation switch
        {
            DriverQueueOperation.Add => ("add", "§2.7.13.1"),
            DriverQueueOperation.Kick => ("kick", "§2.7.13.3"),
            _ => ("get", "§2.7.14"),
        };
        _operation = walk.Begin(WalkSide.Driver, name, section);
    }

    void IDriverQueueObserver.Added(DriverQueue queue, ushort id, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        if (_operation is not { } add || DeviceId != DeviceId.Block)
            return;
        walk.Pause();
        _writable[(queue.Index, id)] = writable.ToArray();
        add.Lines.AddRange(BlockWords.Sent(readable.ToArray(), writable.ToArray()));
        walk.Resume();
    }

    void IDriverQueueObserver.Ended(DriverQueue queue, DriverQueueOperation operation, ushort? id, uint length)
    {
        WalkStep? step = _operation;
        _operation = null;
        walk.End(step, operation switch
        {
            DriverQueueOperation.Add => $"chain {id}",
            DriverQueueOperation.Get => id is null ? "nothing used yet" : $"chain {id}, {length} bytes written",
            _ => "",
        });
        if (operation == DriverQueueOperation.Get && id is { } got && _writable.Remove((queue.Index, got), out DmaBuffer[]? writable))
            step?.Lines.AddRange(BlockWords.Answered(writable));
        rings.Explain(step, queue.Index);
        if (operation == DriverQueueOperation.Get && id is not null && walk.IsRecording)
        {
            walk.RingAfter = rings.Take(queue.Index);
            walk.Close();
        }
    }

    /// <summary>A driver that looks into its ring often may never wait. A kernel's handler runs before the driver looks: so here.</summary>
    private void TakeInterrupt(int queue)
    {
        WalkStep? step = walk.Begin(WalkSide.Transport, "handler", "§2.3");
        InterruptSource source = inner.WaitForInterrupt([InterruptSource.Queue(queue)], TimeSpan.Zero);
        walk.End(step, source == InterruptSource.None ? "no interrupt yet" : $"{source}");
    }

    private static string NameOf(DeviceStatus status) => status switch
    {
        DeviceStatus.Reset => "reset",
        DeviceStatus.Acknowledge => "acknowledge",
        DeviceStatus.Acknowledge | DeviceStatus.Driver => "driver",
        _ when (status & DeviceStatus.Failed) != 0 => "give up",
        _ when (status & DeviceStatus.DriverOk) != 0 => "DRIVER_OK",
        _ => "FEATURES_OK",
    };

    private void NoteEnabled(WalkStep? step, int index, in QueueLayout layout)
    {
        walk.End(step, $"queue {index}: {layout.Size} entries, descriptors at {layout.DescriptorArea}, driver area at {layout.DriverArea}, device area at {layout.DeviceArea}");
        rings.Enable(index, layout, _accepted.Has(Features.RingPacked), Dma);
    }
}

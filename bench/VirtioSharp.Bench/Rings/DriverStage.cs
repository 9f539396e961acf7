using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;

namespace VirtioSharp.Bench.Rings;

/// <summary>A driver end alone, in either language: adds 64 requests of three buffers, publishes them, takes them back.</summary>
internal sealed unsafe class DriverStage : IDisposable
{
    private const int Batch = 64, Size = 256, Written = 4097;

    private readonly bool _packed;
    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 4 << 20);
    private readonly QueueOptions _options;
    private readonly DmaBuffer[] _buffers;
    private readonly Reference.Buffer[] _forC;
    private readonly int _slots;
    private nint _nullDevice, _c;
    private Func<long, long>? _sharp;

    public DriverStage(bool packed, bool indirect)
    {
        (_packed, _options, _slots) = (packed, new QueueOptions(indirect, EventIdx: true), indirect ? 1 : 3);
        _buffers = [.. Enumerable.Range(0, Batch).SelectMany(_ => new[] { _arena.Allocate(16), _arena.Allocate(4096), _arena.Allocate(1) })];
        _forC = Talk.ForC(_buffers);
    }

    public long RunC(long batches)
    {
        if (_c == 0)
        {
            QueueLayout layout = Talk.LayOut(_arena, _packed, Size);
            DmaBuffer tables = _options.Indirect ? _arena.Allocate(Size * Talk.IndirectBytes) : default;
            _c = Reference.ref_driver_new(_packed ? 1 : 0, Size, Host(layout.DescriptorArea), Host(layout.DriverArea), Host(layout.DeviceArea), 1, tables.Address.Value, tables.Host);
            CreateNullDevice(layout);
        }

        fixed (Reference.Buffer* buffers = _forC)
            return Reference.ref_driver_bench(_c, _nullDevice, buffers, 1, 3, batches, Batch);
    }

    public long RunSharp(long batches)
    {
        _sharp ??= _packed ? SharpRun<PackedDriverRing>() : SharpRun<SplitDriverRing>();
        return _sharp(batches);
    }

    private Func<long, long> SharpRun<TRing>()
        where TRing : struct, IDriverRing<TRing>
    {
        var driver = new SharpDriver<TRing>(Size, _arena, _options, _buffers);
        CreateNullDevice(driver.Layout);
        return batches => driver.Bench(_nullDevice, 1, 3, batches, Batch);
    }

    /// <summary>Through the class that drivers use.</summary>
    public long RunQueueSharp(long batches)
    {
        if (_sharp is null)
        {
            var transport = new SilentTransport(_arena);
            DriverQueue queue = _packed
                ? new DriverQueue<PackedDriverRing>(transport, 0, Size, _options)
                : new DriverQueue<SplitDriverRing>(transport, 0, Size, _options);
            CreateNullDevice(queue.Layout);
            _sharp = count => RunQueue(queue, count);
        }

        return _sharp(batches);
    }

    private long RunQueue(DriverQueue queue, long batches)
    {
        ReadOnlySpan<DmaBuffer> buffers = _buffers;
        for (long done = 0; done < batches; done++)
        {
            for (int i = 0; i < Batch; i++)
                if (!queue.TryAdd(buffers.Slice(i * 3, 1), buffers.Slice(i * 3 + 1, 2), out _))
                    return Reference.Full;
            queue.Kick();
            Reference.ref_null_device_use(_nullDevice);
            for (int i = 0; i < Batch; i++)
                if (!queue.TryGet(out _, out uint length) || length != Written)
                    return Reference.Full;
        }

        return batches * Batch;
    }

    private void CreateNullDevice(QueueLayout layout) =>
        _nullDevice = Reference.ref_null_device_new(_packed ? 1 : 0, Size, Host(layout.DescriptorArea), Host(layout.DriverArea), Host(layout.DeviceArea), Batch, _slots, Written);

    private void* Host(GuestAddress address) => Talk.HostOf(_arena, address);

    public void Dispose()
    {
        if (_c != 0)
            Reference.ref_driver_free(_c);
        if (_nullDevice != 0)
            Reference.ref_null_device_free(_nullDevice);
        _arena.Dispose();
    }

    private sealed class SilentTransport(DmaArena arena) : IDriverTransport
    {
        public DeviceId DeviceId => DeviceId.Entropy;
        public int QueueCount => 1;
        public DmaArena Dma { get; } = arena;
        public TimeProvider Time => TimeProvider.System;
        public FeatureSet ReadDeviceFeatures() => Features.Version1;
        public void WriteDriverFeatures(FeatureSet features) { }
        public DeviceStatus ReadStatus() => DeviceStatus.DriverOk;
        public void WriteStatus(DeviceStatus status) { }
        public void ReadConfiguration(uint offset, Span<byte> destination) => destination.Clear();
        public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) { }
        public uint ReadConfigurationGeneration() => 0;
        public int ReadMaxQueueSize(int index) => Size;
        public void EnableQueue(int index, in QueueLayout layout) { }
        public void ResetQueue(int index) { }
        public void Notify(QueueNotification notification) { }
        public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => InterruptSource.None;
        public void Dispose() { }
    }
}

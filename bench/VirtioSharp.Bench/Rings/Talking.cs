using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Bench.Rings;

/// <summary>A driver of either language whose requests carry numbers. Negative results are the reference's errors.</summary>
internal interface ITalkingDriver : IDisposable
{
    QueueLayout Layout { get; }

    /// <summary>Keeps <paramref name="depth"/> requests in flight, each published at once, until so many are answered.</summary>
    long Drive(long chains, int depth);

    /// <summary>Adds up to so many, publishes them together, and says how many fitted.</summary>
    int Submit(int chains);

    /// <summary>Takes and checks the answers that are there.</summary>
    long Collect();
}

/// <summary>A device of either language that checks the numbers and answers with others.</summary>
internal interface ITalkingDevice : IDisposable
{
    /// <summary>Serves so many requests, in publications of <paramref name="batch"/>; unless it waits, it stops when none is there.</summary>
    long Serve(long chains, int batch, bool wait);
}

/// <summary>The two ends of one ring, each in the language asked for, in memory that both see.</summary>
internal sealed unsafe class Talk : IDisposable
{
    private readonly DmaArena _arena;

    public Talk(bool driverInC, bool deviceInC, bool packed, bool indirect, int size, bool eventIdx = true)
    {
        (Packed, Size) = (packed, size);
        _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), (size * IndirectBytes) + (1 << 20));
        var options = new QueueOptions(indirect, eventIdx);
        DmaBuffer[] buffers = [.. Enumerable.Range(0, Reference.TestSlots).SelectMany(_ => new[] { _arena.Allocate(8), _arena.Allocate(Reference.TestData), _arena.Allocate(1) })];
        Driver = (driverInC, packed) switch
        {
            (true, _) => new CDriver(_arena, packed, size, options, buffers),
            (_, true) => new SharpDriver<PackedDriverRing>(size, _arena, options, buffers),
            _ => new SharpDriver<SplitDriverRing>(size, _arena, options, buffers),
        };

        // Objects of two threads that share a cache line cost 10-40 %, erratically. These never run on one thread.
        GC.KeepAlive(new byte[4096]);
        MemoryMap map = MemoryMap.Create([_arena.Region]);
        Device = (deviceInC, packed) switch
        {
            (true, _) => new CDevice(_arena, Driver.Layout, packed, options),
            (_, true) => new SharpDevice<PackedDeviceRing>(Driver.Layout, map, options),
            _ => new SharpDevice<SplitDeviceRing>(Driver.Layout, map, options),
        };
    }

    public const int IndirectBytes = IndirectTables.MaxEntries * Descriptor.Size;

    public bool Packed { get; }

    public int Size { get; }

    public ITalkingDriver Driver { get; }

    public ITalkingDevice Device { get; }

    public void Dispose()
    {
        Driver.Dispose();
        Device.Dispose();
        _arena.Dispose();
    }

    private sealed class CDriver : ITalkingDriver
    {
        private readonly nint _driver;
        private readonly Reference.Buffer[] _buffers;
        private readonly Reference.Buffer* _first;

        public CDriver(DmaArena arena, bool packed, int size, QueueOptions options, DmaBuffer[] buffers)
        {
            Layout = LayOut(arena, packed, size);
            DmaBuffer tables = options.Indirect ? arena.Allocate(size * IndirectBytes) : default;
            _driver = Reference.ref_driver_new(packed ? 1 : 0, size, HostOf(arena, Layout.DescriptorArea), HostOf(arena, Layout.DriverArea),
                HostOf(arena, Layout.DeviceArea), options.EventIdx ? 1 : 0, tables.Address.Value, tables.Host);
            _buffers = ForC(buffers);
            fixed (Reference.Buffer* first = _buffers)
                _first = first; // the array is pinned
        }

        public QueueLayout Layout { get; }

        public long Drive(long chains, int depth) => Reference.ref_driver_drive(_driver, _first, chains, depth);

        public int Submit(int chains) => Reference.ref_driver_submit(_driver, _first, chains);

        public long Collect() => Reference.ref_driver_collect(_driver, _first);

        public void Dispose() => Reference.ref_driver_free(_driver);
    }

    private sealed class CDevice : ITalkingDevice
    {
        private readonly nint _device;
        private readonly MemoryRegion[] _regions = GC.AllocateArray<MemoryRegion>(1, pinned: true);

        public CDevice(DmaArena arena, QueueLayout layout, bool packed, QueueOptions options)
        {
            _regions[0] = arena.Region;
            fixed (MemoryRegion* regions = _regions)
                _device = Reference.ref_device_new(packed ? 1 : 0, layout.Size, HostOf(arena, layout.DescriptorArea), HostOf(arena, layout.DriverArea),
                    HostOf(arena, layout.DeviceArea), options.Indirect ? 1 : 0, options.EventIdx ? 1 : 0, regions, 1);
        }

        public long Serve(long chains, int batch, bool wait) => Reference.ref_device_serve(_device, chains, batch, wait ? 1 : 0);

        public void Dispose() => Reference.ref_device_free(_device);
    }

    public static Reference.Buffer[] ForC(DmaBuffer[] buffers)
    {
        var forC = GC.AllocateArray<Reference.Buffer>(buffers.Length, pinned: true);
        for (int i = 0; i < buffers.Length; i++)
            forC[i] = new(buffers[i].Address.Value, (nint)buffers[i].Host, buffers[i].Length);
        return forC;
    }

    public static QueueLayout LayOut(DmaArena arena, bool packed, int size) => new(
        size,
        arena.Allocate(PackedLayout.DescriptorRingBytes(size)).Address,
        arena.Allocate(packed ? PackedLayout.EventBytes : SplitLayout.DriverAreaBytes(size)).Address,
        arena.Allocate(packed ? PackedLayout.EventBytes : SplitLayout.DeviceAreaBytes(size)).Address);

    public static void* HostOf(DmaArena arena, GuestAddress address) =>
        (void*)(arena.Region.Host + (nint)(address.Value - arena.Region.Start.Value));
}

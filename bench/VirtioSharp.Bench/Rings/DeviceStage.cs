using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Bench.Rings;

/// <summary>
/// A device end alone, in either language: a ring in which the same 64 requests (16 bytes readable, 4096 and 1 writable)
/// become available again and again. With several regions each request lies in another than the one before it.
/// </summary>
internal sealed unsafe class DeviceStage : IDisposable
{
    public const int Batch = 64;

    private readonly bool _packed;
    private readonly bool _indirect;
    private readonly DmaArena[] _arenas;
    private readonly MemoryMap _map;
    private readonly MemoryRegion* _regions;
    private readonly DmaBuffer _descriptors, _driver, _device;
    private readonly QueueLayout _layout;
    private readonly Reference.Refill* _refill;
    private readonly nint _turns;
    private Func<long, long>? _sharp;
    private nint _c;

    public DeviceStage(bool packed, bool indirect, int regions)
    {
        (_packed, _indirect) = (packed, indirect);
        _arenas = [.. Enumerable.Range(0, regions).Select(i => DmaArena.CreateLocal(new GuestAddress((ulong)(i + 4) << 30), 1 << 20))];
        _map = MemoryMap.Create(_arenas.Select(arena => arena.Region));
        _regions = (MemoryRegion*)NativeMemory.Alloc((nuint)(sizeof(MemoryRegion) * regions));
        _map.Regions.CopyTo(new Span<MemoryRegion>(_regions, regions));

        int slots = indirect ? 1 : 3;
        int size = packed ? Batch * slots : 256; // packed: a batch is once round the ring
        _descriptors = _arenas[0].Allocate(Descriptor.Size * size, 4096);
        _driver = _arenas[0].Allocate(SplitLayout.DriverAreaBytes(size), 4096);
        _device = _arenas[0].Allocate(SplitLayout.DeviceAreaBytes(size), 4096);
        _layout = new QueueLayout(size, _descriptors.Address, _driver.Address, _device.Address);
        _turns = (nint)NativeMemory.AlignedAlloc((nuint)(2 * Descriptor.Size * size), 64);
        _refill = (Reference.Refill*)NativeMemory.AllocZeroed((nuint)sizeof(Reference.Refill));
        *_refill = new Reference.Refill
        {
            Ring = (nint)_descriptors.Host,
            Turn0 = _turns,
            Turn1 = _turns + Descriptor.Size * size,
            Bytes = (ulong)(Descriptor.Size * size),
            AvailableIndex = (nint)_driver.Host + SplitLayout.IndexOffset,
            Batch = Batch,
            Packed = packed ? 1u : 0,
        };
        Fill(slots);
    }

    public static int Chains(long batches) => (int)(batches * Batch);

    /// <summary>The ring in C.</summary>
    public long RunC(long batches)
    {
        CreateC();
        return Reference.ref_device_bench(_c, _refill, batches, Batch);
    }

    /// <summary>The ring in C#.</summary>
    public long RunSharp(long batches)
    {
        if (_sharp is null && _packed)
        {
            var device = new SharpDevice<PackedDeviceRing>(_layout, _map, new QueueOptions(Indirect: true, EventIdx: true));
            _sharp = count => device.Bench(_refill, count, Batch);
        }
        else if (_sharp is null)
        {
            var device = new SharpDevice<SplitDeviceRing>(_layout, _map, new QueueOptions(Indirect: true, EventIdx: true));
            _sharp = count => device.Bench(_refill, count, Batch);
        }

        return _sharp(batches);
    }

    /// <summary>C with a device model behind a pointer, which suppresses and re-arms notifications around each batch.</summary>
    public long RunModelC(long batches)
    {
        CreateC();
        return Reference.ref_device_bench_model(_c, _refill, batches);
    }

    /// <summary>The whole of the C# device: host, queue, a virtual call per request.</summary>
    public long RunHostSharp(long batches)
    {
        _sharp ??= HostRun();
        return _sharp(batches);
    }

    private Func<long, long> HostRun()
    {
        var silence = new Silence();
        var host = new DeviceHost(new LookDevice(), silence, silence);
        host.SetMemory(_map);
        host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        host.WriteDriverFeatures(Features.Version1 | Features.IndirectDesc | Features.EventIdx | (_packed ? Features.RingPacked : Features.None));
        host.WriteStatus(DeviceStatus.FeaturesOk);
        host.EnableQueue(0, _layout);
        host.WriteStatus(DeviceStatus.DriverOk);
        return batches =>
        {
            ulong before = host.Statistics(0).Chains;
            for (long i = 0; i < batches; i++)
            {
                Reference.ref_refill(_refill);
                host.Notify(0);
            }

            QueueStatistics statistics = host.Statistics(0);
            return statistics.FaultyChains > 0 ? Reference.Faulty : (long)(statistics.Chains - before);
        };
    }

    private void CreateC()
    {
        if (_c == 0)
            _c = Reference.ref_device_new(_packed ? 1 : 0, _layout.Size, _descriptors.Host, _driver.Host, _device.Host, 1, 1, _regions, _arenas.Length);
    }

    private void Fill(int slots)
    {
        for (int i = 0; !_packed && i < _layout.Size; i++)
            BitConverter.TryWriteBytes(_driver.Span[(SplitLayout.RingOffset + 2 * i)..], (ushort)(i % Batch * slots));
        for (int chain = 0; chain < Batch; chain++)
        {
            DmaArena arena = _arenas[chain % _arenas.Length];
            DmaBuffer[] buffers = [arena.Allocate(16), arena.Allocate(4096), arena.Allocate(1)];
            int head = chain * slots;
            if (!_indirect)
            {
                for (int i = 0; i < 3; i++)
                    Put(head + i, buffers[i], chain, FlagsOf(i), head + i + 1);
                continue;
            }

            DmaBuffer table = arena.Allocate(3 * Descriptor.Size);
            for (int i = 0; i < 3; i++)
                Write(table.Host + i * Descriptor.Size, buffers[i], 0, _packed ? FlagsOf(i) & DescriptorFlags.Write : FlagsOf(i), i + 1);
            Put(head, table, chain, DescriptorFlags.Indirect, 0);
        }
    }

    private static DescriptorFlags FlagsOf(int i) =>
        (i > 0 ? DescriptorFlags.Write : DescriptorFlags.None) | (i < 2 ? DescriptorFlags.Next : DescriptorFlags.None);

    private void Put(int index, DmaBuffer buffer, int id, DescriptorFlags flags, int next)
    {
        int offset = index * Descriptor.Size;
        if (_packed)
        {
            Write((byte*)_refill->Turn0 + offset, buffer, id, flags | PackedLayout.AvailableFlags(true), 0);
            Write((byte*)_refill->Turn1 + offset, buffer, id, flags | PackedLayout.AvailableFlags(false), 0);
        }
        else
        {
            Write(_descriptors.Host + offset, buffer, id, flags, next);
        }
    }

    private void Write(byte* at, DmaBuffer buffer, int id, DescriptorFlags flags, int next)
    {
        if (_packed)
            *(PackedDescriptor*)at = new PackedDescriptor(buffer.Address.Value, (uint)buffer.Length, (ushort)id, flags);
        else
            *(Descriptor*)at = new Descriptor(buffer.Address.Value, (uint)buffer.Length, flags, (ushort)next);
    }

    public void Dispose()
    {
        if (_c != 0)
            Reference.ref_device_free(_c);
        NativeMemory.Free(_regions);
        NativeMemory.Free(_refill);
        NativeMemory.AlignedFree((void*)_turns);
        foreach (DmaArena arena in _arenas)
            arena.Dispose();
    }

    private sealed class LookDevice : VirtioDevice
    {
        private ulong _sum;

        public override DeviceTraits Traits { get; } = new(DeviceId.Entropy, Features.None, new QueueTraits("request", 256));

        public override void OnChain(int queue, scoped ref DeviceChain chain)
        {
            ulong sum = 0;
            while (chain.TryNextReadable(out ReadOnlySpan<byte> bytes))
                sum += (ulong)bytes.Length;
            while (chain.TryNextWritable(out Span<byte> room))
            {
                sum ^= (ulong)room.Length;
                chain.Advance(room.Length);
            }

            _sum += sum;
        }
    }
}

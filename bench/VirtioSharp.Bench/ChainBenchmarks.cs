using BenchmarkDotNet.Attributes;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Bench;

/// <summary>
/// What one chain costs the device end: notice it, read and check its descriptors, translate, hand it to the device,
/// put it into the used ring. The driver's part is one store per batch: the ring was filled before.
/// </summary>
[MemoryDiagnoser]
public class ChainBenchmarks
{
    private const int QueueSize = 256;
    private const int Batch = 64;

    private DmaArena _arena = null!;
    private DeviceHost _host = null!;
    private DmaBuffer _available;
    private ushort _index;

    public enum Shape
    {
        /// <summary>One writable buffer, as rng has.</summary>
        OneBuffer,
        /// <summary>A readable header, writable data, a writable status, as block has.</summary>
        ThreeBuffers,
        /// <summary>The same three in an indirect table.</summary>
        ThreeIndirect,
    }

    [Params(Shape.OneBuffer, Shape.ThreeBuffers, Shape.ThreeIndirect)]
    public Shape Chain { get; set; }

    [Params(1, 8)]
    public int Regions { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 8 << 20);
        var silence = new Silence();
        _host = new DeviceHost(new TouchDevice(), silence, silence);
        _host.SetMemory(MemoryMap.Create(Pieces(_arena.Region, Regions)));
        _host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        _host.WriteDriverFeatures(_host.DeviceFeatures);
        _host.WriteStatus(DeviceStatus.FeaturesOk);

        DmaBuffer descriptors = _arena.Allocate(SplitLayout.DescriptorTableBytes(QueueSize), 4096);
        _available = _arena.Allocate(SplitLayout.DriverAreaBytes(QueueSize), 4096);
        DmaBuffer used = _arena.Allocate(SplitLayout.DeviceAreaBytes(QueueSize), 4096);
        Fill(descriptors);
        _host.EnableQueue(0, new QueueLayout(QueueSize, descriptors.Address, _available.Address, used.Address));
        _host.WriteStatus(DeviceStatus.DriverOk);
        _index = 0;
    }

    [Benchmark(OperationsPerInvoke = Batch)]
    public void DeviceEnd()
    {
        _index += Batch;
        BitConverter.TryWriteBytes(_available.Span[SplitLayout.IndexOffset..], _index);
        _host.Notify(0);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        if (_host.Statistics(0).FaultyChains > 0 || (_host.Status & DeviceStatus.NeedsReset) != 0)
            throw new InvalidOperationException("the chains were not served: the figure means nothing");
        _arena.Dispose();
    }

    /// <summary>Every head the available ring names, over and over, each with buffers of its own spread over the arena.</summary>
    private void Fill(DmaBuffer descriptors)
    {
        int stride = Chain == Shape.ThreeBuffers ? 3 : 1;
        int chains = QueueSize / 4;
        for (int i = 0; i < QueueSize; i++)
            BitConverter.TryWriteBytes(_available.Span[(SplitLayout.RingOffset + 2 * i)..], (ushort)(i % chains * stride));
        for (int chain = 0; chain < chains; chain++)
        {
            int head = chain * stride;
            DmaBuffer header = _arena.Allocate(16), data = _arena.Allocate(4096, 4096), status = _arena.Allocate(1);
            switch (Chain)
            {
                case Shape.OneBuffer:
                    Put(descriptors, head, data, DescriptorFlags.Write, 0);
                    break;
                case Shape.ThreeBuffers:
                    Put(descriptors, head, header, DescriptorFlags.Next, head + 1);
                    Put(descriptors, head + 1, data, DescriptorFlags.Next | DescriptorFlags.Write, head + 2);
                    Put(descriptors, head + 2, status, DescriptorFlags.Write, 0);
                    break;
                default:
                    DmaBuffer table = _arena.Allocate(3 * Descriptor.Size, 16);
                    Put(table, 0, header, DescriptorFlags.Next, 1);
                    Put(table, 1, data, DescriptorFlags.Next | DescriptorFlags.Write, 2);
                    Put(table, 2, status, DescriptorFlags.Write, 0);
                    Put(descriptors, head, table, DescriptorFlags.Indirect, 0);
                    break;
            }
        }
    }

    private static void Put(DmaBuffer table, int index, DmaBuffer buffer, DescriptorFlags flags, int next) =>
        System.Runtime.InteropServices.MemoryMarshal.Write(
            table.Span[(index * Descriptor.Size)..],
            new Descriptor(buffer.Address.Value, (uint)buffer.Length, flags, (ushort)next));

    private static IEnumerable<MemoryRegion> Pieces(MemoryRegion whole, int count)
    {
        ulong length = whole.Length / (ulong)count;
        for (int i = 0; i < count; i++)
            yield return new MemoryRegion(whole.Start.Plus((ulong)i * length), length, whole.Host + (nint)((ulong)i * length));
    }

    /// <summary>Looks at every buffer and fills none: what is measured is the queue, not memory.</summary>
    private sealed class TouchDevice : VirtioDevice
    {
        public override DeviceTraits Traits { get; } = new(DeviceId.Entropy, Features.None, new QueueTraits("request", QueueSize));

        public override void OnChain(int queue, scoped ref DeviceChain chain)
        {
            while (chain.TryNextReadable(out _))
            {
            }

            while (chain.TryNextWritable(out Span<byte> room))
                chain.Advance(room.Length);
        }
    }
}

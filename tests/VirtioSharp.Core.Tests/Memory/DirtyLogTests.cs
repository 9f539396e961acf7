using System.Runtime.CompilerServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Memory;

/// <summary>Whatever a device changes in guest memory is in the log, and what it leaves alone is not.</summary>
public sealed unsafe class DirtyLogTests : IDisposable
{
    private const int Page = 4096, Pages = 96, QueueSize = 64;
    private const ulong Start = 0x10_0000; // page 256

    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(Start), Pages * Page);
    private readonly byte[] _bits = GC.AllocateArray<byte>((256 + Pages) / 8, pinned: true);
    private readonly byte[] _region = GC.AllocateArray<byte>(InflightRegion.BytesOf(QueueSize, packed: true), pinned: true);
    private readonly ScriptedDevice _device = new();
    private readonly RecordingLine _line = new();
    private readonly RecordingObserver _observer = new();
    private readonly DeviceHost _host;
    private int _changes;

    public DirtyLogTests() => _host = new DeviceHost(_device, _line, _line, new DeviceHostOptions { Observer = _observer });

    private MemoryMap Map => MemoryMap.Create([_arena.Region]);

    public void Dispose() => _arena.Dispose();

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    [InlineData("split, event index")]
    [InlineData("packed, event index")]
    [InlineData("split, in order")]
    [InlineData("packed, in order")]
    [InlineData("split, tracked")]
    [InlineData("packed, tracked")]
    [Proves("Dirty log", "in process")]
    public void Every_page_that_changes_is_noted_and_no_other(string kind)
    {
        FeatureSet features = FeaturesOf(kind);
        DriverEnd driver = Begin(features, kind.EndsWith("tracked", StringComparison.Ordinal));
        DmaBuffer[] buffers = [.. Enumerable.Range(0, 12).Select(i => _arena.Allocate(1 + i * 2000))];
        HashSet<int> ring = RingPages(driver.Layout, features.Has(Features.RingPacked));
        var random = new Random(3);
        var held = new List<(PendingChain Chain, nint Room, int Length)>();
        byte value = 0;
        int noted = 0, spared = 0;
        _device.Answer = (_, scoped ref chain) =>
        {
            switch (random.Next(4))
            {
                case 0:
                    chain.TryNextWritable(out Span<byte> later); // somebody else will write there, as the kernel does for a disk
                    nint at = later.IsEmpty ? 0 : (nint)Unsafe.AsPointer(ref later[0]);
                    chain.Advance(later.Length);
                    held.Add((chain.Hold(), at, later.Length));
                    break;
                case 1 when random.Next(3) == 0:
                    throw new ChainException("no");
                default:
                    Fill(ref chain, value, random, most: 20000);
                    break;
            }
        };

        for (int round = 0; round < 2000; round++)
        {
            for (int i = random.Next(4); i > 0; i--)
                driver.TryAdd(random.Next(2) == 0 ? [] : [buffers[0]], [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => buffers[random.Next(12)])], out ushort _);
            driver.Publish();
            (value, byte[] before) = ((byte)(round % 255 + 1), Bytes().ToArray());
            Array.Clear(_bits);
            int changes = _changes;

            _host.Notify(0);
            while (held.Count > 0 && random.Next(3) > 0)
            {
                (PendingChain Chain, nint Room, int Length) one = held[random.Next(held.Count)];
                held.Remove(one);
                new Span<byte>((void*)one.Room, one.Length).Fill(value);
                DeviceChain chain = one.Chain.Open();
                Fill(ref chain, value, random, most: 20000);
                one.Chain.Complete(chain.Written);
            }

            _host.Flush();

            for (int page = 0; page < Pages; page++)
            {
                bool hasChanged = !Bytes().Slice(page * Page, Page).SequenceEqual(before.AsSpan(page * Page, Page));
                Assert.True(!hasChanged || IsNoted(page), $"page {page} has changed in round {round}, and is not noted");
                Assert.True(hasChanged || !IsNoted(page) || ring.Contains(page), $"page {page} is noted in round {round}, and has not changed");
                noted += IsNoted(page) ? 1 : 0;
                spared += IsNoted(page) ? 0 : 1;
            }

            Assert.Equal(_bits.AsSpan().ContainsAnyExcept((byte)0), _changes != changes);
            while (driver.TryGet(out _, out _))
            {
            }
        }

        Assert.Equal((0, true, true), (_observer.Resets.Count, noted > 1000, spared > 1000));
    }

    [Fact]
    public void It_is_switched_on_and_off_while_the_queue_runs()
    {
        DriverEnd driver = Begin(Features.Version1, tracked: false);
        DmaBuffer buffer = _arena.Allocate(100);
        int page = (int)(buffer.Address.Value - Start) / Page;
        foreach (bool on in new[] { true, false, true, true, false })
        {
            _host.SetMemory(Map, on ? Log() : null);
            Array.Clear(_bits);
            Assert.True(driver.TryAdd([], [buffer], out _));
            driver.Publish();

            _host.Notify(0);

            Assert.True(driver.TryGet(out _, out uint length));
            Assert.Equal((100u, on), (length, IsNoted(page)));
            Assert.Equal(on, _bits.AsSpan().ContainsAnyExcept((byte)0));
        }
    }

    [Fact]
    public void A_chain_described_longer_than_memory_is_noted_as_far_as_it_was_written()
    {
        DriverEnd driver = Begin(Features.Version1, tracked: false);
        DmaBuffer large = _arena.Allocate(40 * Page, Page);
        _device.Answer = (_, scoped ref chain) =>
        {
            Assert.Equal(60 * 40u * Page, chain.WritableLeft); // 25 times as much as there is
            chain.Write([1]);
        };
        Assert.True(driver.TryAdd([], [.. Enumerable.Repeat(large, 60)], out _));
        driver.Publish();
        Array.Clear(_bits);

        _host.Notify(0);

        int first = (int)(large.Address.Value - Start) / Page;
        Assert.Equal([true, false], Enumerable.Range(first, 40).Select(IsNoted).Distinct());
        Assert.Single(Enumerable.Range(first, 40), IsNoted);
    }

    [Fact]
    public void A_ring_whose_log_is_beyond_the_log_is_refused()
    {
        var driver = new DriverEnd<SplitDriverRing>(QueueSize, _arena, default);
        _host.SetMemory(Map, Log());
        foreach (ulong at in new[] { Log().End - 8 * QueueSize, Log().End, ulong.MaxValue })
        {
            _host.Track(0, null, new GuestAddress(at));
            Assert.Contains("is beyond the log, which ends at 0x160000", Assert.Throws<QueueException>(() => _host.EnableQueue(0, driver.Layout)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_lies_beyond_the_log_or_outside_of_memory_is_not_noted()
    {
        DirtyLog log = Log();
        byte elsewhere = 0;
        log.Mark(&elsewhere, 1);
        log.MarkGuest(log.End, 1);
        log.MarkGuest(ulong.MaxValue, 1);
        log.MarkGuest(Start, 0);
        Assert.False(_bits.AsSpan().ContainsAnyExcept((byte)0));

        log.MarkGuest(log.End - 1, ulong.MaxValue);

        Assert.Equal(0x80, _bits[^1]);
        Assert.Equal(1, _bits.Count(bits => bits != 0));
    }

    private DriverEnd Begin(FeatureSet features, bool tracked)
    {
        QueueOptions options = QueueOptions.From(features);
        bool packed = features.Has(Features.RingPacked);
        DriverEnd driver = packed
            ? new DriverEnd<PackedDriverRing>(QueueSize, _arena, options)
            : new DriverEnd<SplitDriverRing>(QueueSize, _arena, options);
        _arena.Allocate(Page, Page); // the ring's pages are its own
        const DeviceStatus Found = DeviceStatus.Acknowledge | DeviceStatus.Driver;
        _host.SetMemory(Map, Log());
        _host.WriteStatus(Found);
        _host.WriteDriverFeatures(features);
        _host.WriteStatus(Found | DeviceStatus.FeaturesOk);
        _host.Track(0, tracked ? new InflightRegion((nint)Unsafe.AsPointer(ref _region[0]), QueueSize) : null, driver.Layout.DeviceArea);
        _host.EnableQueue(0, driver.Layout);
        _host.WriteStatus(Found | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        return driver;
    }

    private DirtyLog Log() => new((nint)Unsafe.AsPointer(ref _bits[0]), (ulong)_bits.Length, Map, () => _changes++);

    private Span<byte> Bytes() => new((void*)_arena.Region.Host, Pages * Page);

    private bool IsNoted(int page) => (_bits[(page + 256) / 8] & 1 << page % 8) != 0;

    private static void Fill(scoped ref DeviceChain chain, byte value, Random random, int most)
    {
        for (int left = random.Next(most); left > 0 && chain.TryNextWritable(out Span<byte> room);)
        {
            int piece = Math.Min(left, room.Length);
            room[..piece].Fill(value);
            chain.Advance(piece);
            left -= piece;
        }
    }

    private static HashSet<int> RingPages(QueueLayout layout, bool packed)
    {
        GuestAddress written = packed ? layout.DescriptorArea : layout.DeviceArea;
        return [.. new[] { written.Value, written.Value + 16 * QueueSize - 1, layout.DeviceArea.Value, layout.DeviceArea.Value + 8 * QueueSize + 6 }.Select(address => (int)(address - Start) / Page)];
    }

    private static FeatureSet FeaturesOf(string kind)
    {
        FeatureSet features = Features.Version1;
        if (kind.StartsWith("packed", StringComparison.Ordinal))
            features |= Features.RingPacked;
        if (kind.EndsWith("event index", StringComparison.Ordinal))
            features |= Features.EventIdx;
        if (kind.EndsWith("in order", StringComparison.Ordinal))
            features |= Features.InOrder;
        return features;
    }
}

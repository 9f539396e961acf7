using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Tests.Support;

/// <summary>A memory balloon that keeps a list of what is in it, and asks for statistics when told to.</summary>
internal sealed class TestBalloon : VirtioDevice
{
    private static readonly string[] QueueNames = ["inflate", "deflate", "stats", "free_page", "reporting"];

    private readonly string[] _queues;
    private BalloonConfiguration _space;
    private PendingChain? _statistics;

    public TestBalloon(FeatureSet features = default, bool compacted = false)
    {
        _queues = [.. QueueNames.Where(name => !compacted || name != "free_page" || features.Has(BalloonFeatures.FreePageHint))];
        Traits = new DeviceTraits(DeviceId.Balloon, features, [.. _queues.Select(name => new QueueTraits(name, 64))]) { ConfigurationSize = BalloonConfiguration.Size };
    }

    public override DeviceTraits Traits { get; }

    public SortedSet<uint> Frames { get; } = [];

    public uint Actual => _space.ActualPages;

    public uint Poison => _space.Poison;

    public List<int> RequestFrames { get; } = [];

    /// <summary>Statistics that the driver supplied, latest last.</summary>
    public List<(BalloonStatisticTag Tag, ulong Value)[]> Statistics { get; } = [];

    /// <summary>What came in the free page queue: commands, and the lengths of hinted memory.</summary>
    public List<(uint? Command, uint Bytes)> Hints { get; } = [];

    public List<uint[]> Reports { get; } = [];

    public int Violations { get; private set; }

    /// <summary>Keeps inflate and deflate requests.</summary>
    public bool Holds { get; set; }

    public List<PendingChain> Held { get; } = [];

    /// <summary>Called for each hint of memory.</summary>
    public Action? Hinted { get; set; }

    /// <summary>Uses the statistics buffer as soon as it gets one.</summary>
    public bool AsksAlways { get; set; }

    public void Want(uint pages) => Change(_space with { TargetPages = pages });

    public void Command(uint id) => Change(_space with { FreePageHintCommand = id });

    public void AskForStatistics()
    {
        PendingChain buffer = _statistics!;
        _statistics = null;
        buffer.Complete(0);
    }

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        switch (_queues[queue])
        {
            case "inflate" or "deflate" when Holds:
                Held.Add(chain.Hold());
                break;
            case "inflate":
                Move(ref chain, Frames.Add);
                break;
            case "deflate":
                Move(ref chain, Frames.Remove);
                break;
            case "stats":
                TakeStatistics(ref chain);
                break;
            case "free_page":
                TakeHint(ref chain);
                break;
            default:
                List<uint> lengths = [];
                while (chain.TryNextWritable(out Span<byte> room))
                {
                    lengths.Add((uint)room.Length);
                    chain.Advance(room.Length);
                }

                Reports.Add([.. lengths]);
                break;
        }
    }

    public override void OnStopping(int queue)
    {
        if (_queues[queue] == "stats")
            _statistics = null;
    }

    /// <summary>As the specification has it: nothing is left of before (§2.4).</summary>
    public override void OnReset()
    {
        Held.Clear();
        Frames.Clear();
        _space = _space with { ActualPages = 0, Poison = 0 };
    }

    public override void ReadConfiguration(int offset, Span<byte> destination) =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<BalloonConfiguration>(in _space)).Slice(offset, destination.Length).CopyTo(destination);

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        // A legacy driver writes byte by byte.
        if (offset / 4 is BalloonConfiguration.ActualOffset / 4 or BalloonConfiguration.PoisonOffset / 4)
            source.CopyTo(MemoryMarshal.AsBytes(new Span<BalloonConfiguration>(ref _space))[offset..]);
        else
            Violations++;
        return true;
    }

    private void Change(BalloonConfiguration space)
    {
        _space = space;
        Services.ConfigurationChanged();
    }

    private void Move(scoped ref DeviceChain chain, Func<uint, bool> how)
    {
        RequestFrames.Add((int)chain.ReadableLeft / 4);
        Span<byte> frame = stackalloc byte[4];
        while (chain.ReadableLeft > 0)
        {
            chain.ReadExactly(frame);
            if (!how(MemoryMarshal.Read<Le32>(frame)))
                Violations++;
        }
    }

    private void TakeStatistics(scoped ref DeviceChain chain)
    {
        if (_statistics is not null)
            Violations++; // at most one at all times
        List<(BalloonStatisticTag, ulong)> all = [];
        Span<byte> entry = stackalloc byte[BalloonStatistic.Size];
        while (chain.ReadableLeft >= entry.Length)
        {
            chain.ReadExactly(entry);
            var statistic = MemoryMarshal.Read<BalloonStatistic>(entry);
            all.Add((statistic.Tag, statistic.Value));
        }

        Statistics.Add([.. all]);
        if (!AsksAlways)
            _statistics = chain.Hold();
    }

    private void TakeHint(scoped ref DeviceChain chain)
    {
        if (chain.ReadableLeft > 0)
        {
            Span<byte> command = stackalloc byte[4];
            chain.ReadExactly(command);
            Hints.Add((MemoryMarshal.Read<Le32>(command), 0));
            return;
        }

        Hints.Add((null, chain.WritableLeft));
        Hinted?.Invoke();
    }
}

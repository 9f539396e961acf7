using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>Two queues and a configuration space. A request to a queue is answered with the queue's number and the first
/// byte of the configuration; one to queue 1 changes that byte before.</summary>
internal sealed class ConfigurableDevice(int changesPerRequest = 1) : VirtioDevice
{
    public const int ConfigurationSize = 16;

    private readonly byte[] _configuration = [.. Enumerable.Range(0xC0, ConfigurationSize).Select(value => (byte)value)];

    public override DeviceTraits Traits { get; } =
        new(DeviceId.Console, FeatureSet.Bit(5), new QueueTraits("plain", 256), new QueueTraits("changing", 256)) { ConfigurationSize = ConfigurationSize };

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        for (int i = 0; queue == 1 && i < changesPerRequest; i++)
        {
            _configuration[0]++;
            Services.ConfigurationChanged();
        }

        chain.Write([(byte)queue, _configuration[0]]);
    }

    public override void ReadConfiguration(int offset, Span<byte> destination) =>
        _configuration.AsSpan(offset, destination.Length).CopyTo(destination);

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo(_configuration.AsSpan(offset));
        return true;
    }
}

/// <summary>Writes a byte into each buffer it gets, unless told to misbehave.</summary>
internal sealed class MoodyDevice : VirtioDevice
{
    /// <summary>What to throw at the next request.</summary>
    public Exception? Mood { get; set; }

    public int Resets { get; private set; }

    public override DeviceTraits Traits { get; } =
        new(DeviceId.Entropy, Features.None, new QueueTraits("moody", 256), new QueueTraits("other", 256));

    public override void OnReset() => Resets++;

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        if (Mood is { } mood)
        {
            if (mood is not ChainException)
                Mood = null;
            throw mood;
        }

        chain.Write([(byte)'m']);
    }
}

/// <summary>Keeps every request, and forgets them when it is stopped, as if it had died. Lent out, it answers with how manieth a request was.</summary>
internal sealed class KeepingDevice : VirtioDevice
{
    private readonly Queue<PendingChain> _kept = new();
    private volatile int _taken;

    public bool Keeps { get; set; } = true;

    /// <summary>Requests that came.</summary>
    public int Taken => _taken;

    public override DeviceTraits Traits { get; } = new(DeviceId.Entropy, Features.None, new QueueTraits("kept", 256), new QueueTraits("other", 256));

    /// <summary>Times it had to let go of what it kept.</summary>
    public int Stops { get; private set; }

    public override void OnStopping(int queue)
    {
        Stops++;
        _kept.Clear();
    }

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        if (Keeps)
            _kept.Enqueue(chain.Hold());
        else
            chain.Write([(byte)(_taken + 1)]);
        _taken++;
    }
}

/// <summary>Notes how much its thread had allocated when two requests came.</summary>
internal sealed class AllocationProbe(VirtioDevice inner, int first, int last) : VirtioDevice
{
    private int _requests;
    private long _before;

    /// <summary>Bytes allocated between the two; −1 before the last has come.</summary>
    public long Allocated { get; private set; } = -1;

    public override DeviceTraits Traits => inner.Traits;

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        _requests++;
        if (_requests == first)
            _before = GC.GetAllocatedBytesForCurrentThread();
        if (_requests == last)
            Allocated = GC.GetAllocatedBytesForCurrentThread() - _before;
        inner.OnChain(queue, ref chain);
    }
}

/// <summary>Notes with which features it was started.</summary>
internal sealed class StartRecorder : VirtioDevice
{
    public List<FeatureSet> Starts { get; } = [];

    public override DeviceTraits Traits { get; } = new(DeviceId.Entropy, Features.None, new QueueTraits("only", 256));

    public override void OnStart(FeatureSet features) => Starts.Add(features);

    public override void OnChain(int queue, scoped ref DeviceChain chain) => chain.Write([1]);
}

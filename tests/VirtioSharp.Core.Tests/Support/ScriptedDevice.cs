using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Serves each chain as the test says; without a script it reads everything and fills all room with <see cref="Filling"/>.</summary>
internal sealed class ScriptedDevice : VirtioDevice
{
    public const byte Filling = 0x5A;

    public delegate void Script(ScriptedDevice device, scoped ref DeviceChain chain);

    public override DeviceTraits Traits { get; } = new(DeviceId.Block, FeatureSet.Bit(5) | FeatureSet.Bit(70), new QueueTraits("request", 256))
    {
        ConfigurationSize = 8,
    };

    /// <summary>What to do with a chain; null for the ordinary thing.</summary>
    public Script? Answer { get; set; }

    /// <summary>What to do at DRIVER_OK, at a reset and at an access to configuration space.</summary>
    public Action? Start { get; set; }

    public Action? Restart { get; set; }

    public Action? Configuration { get; set; }

    /// <summary>What to do when a queue stops in which chains are held.</summary>
    public Action? Stopping { get; set; }

    /// <summary>Chains that reached the device.</summary>
    public int Chains { get; private set; }

    /// <summary>What the last chain had to read.</summary>
    public List<byte> Read { get; } = [];

    /// <summary>The features of the session.</summary>
    public FeatureSet Features { get; private set; }

    public new IDeviceServices Services => base.Services;

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        Chains++;
        if (Answer is { } answer)
            answer(this, ref chain);
        else
            Fill(ref chain);
    }

    public override void OnStart(FeatureSet features)
    {
        Features = features;
        Start?.Invoke();
    }

    public override void OnStopping(int queue) => Stopping?.Invoke();

    public override void OnReset() => Restart?.Invoke();

    public override void ReadConfiguration(int offset, Span<byte> destination)
    {
        Configuration?.Invoke();
        destination.Fill((byte)(0xC0 + offset));
    }

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        Configuration?.Invoke();
        return true;
    }

    private void Fill(scoped ref DeviceChain chain)
    {
        Read.Clear();
        while (chain.TryNextReadable(out ReadOnlySpan<byte> bytes))
            Read.AddRange(bytes);
        while (chain.TryNextWritable(out Span<byte> room))
        {
            room.Fill(Filling);
            chain.Advance(room.Length);
        }
    }
}

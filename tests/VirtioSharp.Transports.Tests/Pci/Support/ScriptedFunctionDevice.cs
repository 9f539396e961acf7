using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Tests.Pci.Support;

/// <summary>A block device in name: two queues, 8 bytes of configuration that can be written and that change when told to.</summary>
internal sealed class ScriptedFunctionDevice(int maxSize = 64, DeviceId id = DeviceId.Block) : VirtioDevice
{
    public static readonly FeatureSet Own = FeatureSet.Bit(5) | FeatureSet.Bit(66);

    public override DeviceTraits Traits { get; } =
        new(id, Own, new QueueTraits("first", maxSize), new QueueTraits("second", maxSize)) { ConfigurationSize = 8 };

    public byte[] Bytes { get; } = [1, 2, 3, 4, 5, 6, 7, 8];

    /// <summary>Whether it keeps chains.</summary>
    public bool Holds { get; set; }

    public List<PendingChain> Held { get; } = [];

    public int Starts { get; private set; }

    public override void OnStart(FeatureSet features) => Starts++;

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        if (Holds)
        {
            Held.Add(chain.Hold());
            return;
        }

        while (chain.TryNextWritable(out Span<byte> room))
        {
            room.Fill((byte)(queue + 1));
            chain.Advance(room.Length);
        }
    }

    public override void ReadConfiguration(int offset, Span<byte> destination) => Bytes.AsSpan(offset, destination.Length).CopyTo(destination);

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo(Bytes.AsSpan(offset));
        return true;
    }

    /// <summary>Changes the configuration and says so.</summary>
    public void Change(byte value)
    {
        Bytes[0] = value;
        Services.ConfigurationChanged();
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>A device with features in three words, two queues and 12 bytes of configuration space. It keeps the driver's bytes and answers with nothing.</summary>
internal sealed class ConsoleStub : VirtioDevice
{
    public override DeviceTraits Traits { get; } = new(
        DeviceId.Console,
        FeatureSet.Bit(0) | FeatureSet.Bit(5) | FeatureSet.Bit(63) | FeatureSet.Bit(70),
        new QueueTraits("receive", MaxSize: 64),
        new QueueTraits("transmit", MaxSize: 16))
    { ConfigurationSize = 12 };

    public byte[] Configuration { get; } = [.. Enumerable.Range(1, 12).Select(i => (byte)(0x11 * i))];

    public bool IsRecording { get; set; } = true;

    public List<(int Offset, int Width)> Accesses { get; } = [];

    public int Chains { get; private set; }

    public override void OnChain(int queue, scoped ref DeviceChain chain) => Chains++;

    public override void ReadConfiguration(int offset, Span<byte> destination)
    {
        if (IsRecording)
            Accesses.Add((offset, destination.Length));
        Configuration.AsSpan(offset, destination.Length).CopyTo(destination);
    }

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        Accesses.Add((offset, source.Length));
        source.CopyTo(Configuration.AsSpan(offset));
        return true;
    }

    public void Change() => Services.ConfigurationChanged();
}

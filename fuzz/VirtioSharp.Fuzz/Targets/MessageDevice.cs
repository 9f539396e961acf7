using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>Two queues and a configuration: answers at once, or later, or changes its configuration, as the request's first byte says.</summary>
internal sealed class MessageDevice : VirtioDevice
{
    private readonly byte[] _configuration = new byte[16];
    private readonly List<PendingChain> _held = [];

    public override DeviceTraits Traits { get; } =
        new(DeviceId.Console, FeatureSet.Bit(5), new QueueTraits("first", 256), new QueueTraits("second", 256)) { ConfigurationSize = 16 };

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        byte first = chain.TryNextReadable(out ReadOnlySpan<byte> request) ? request[0] : (byte)0;
        switch (first & 3)
        {
            case 1:
                _held.Add(chain.Hold());
                return;
            case 2:
                _configuration[0]++;
                Services.ConfigurationChanged();
                break;
            case 3:
                OnStopping(queue);
                break;
        }

        while (chain.TryNextWritable(out Span<byte> room))
        {
            room.Fill(0x5A);
            chain.Advance(room.Length);
        }
    }

    public override void OnStopping(int queue)
    {
        foreach (PendingChain pending in _held)
        {
            if (pending.IsPending)
                pending.Complete(0);
        }

        _held.Clear();
    }

    public override void OnReset() => _held.Clear();

    public override void ReadConfiguration(int offset, Span<byte> destination) => _configuration.AsSpan(offset, destination.Length).CopyTo(destination);

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo(_configuration.AsSpan(offset));
        return true;
    }
}

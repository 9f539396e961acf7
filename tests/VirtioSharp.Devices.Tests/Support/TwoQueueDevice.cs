using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>Two queues; fills what it is given with the queue's number, or keeps it when told to.</summary>
internal sealed class TwoQueueDevice : VirtioDevice
{
    public override DeviceTraits Traits { get; } =
        new(DeviceId.Block, Features.None, new QueueTraits("first", 64), new QueueTraits("second", 64));

    /// <summary>Whether it keeps chains.</summary>
    public bool Holds { get; set; }

    public List<PendingChain> Held { get; } = [];

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
}

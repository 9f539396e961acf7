using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Offers what is not a device's to offer.</summary>
internal sealed class GreedyDevice : VirtioDevice
{
    public override DeviceTraits Traits { get; } = new(DeviceId.Block, Features.RingPacked, new QueueTraits("request", 8));

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
    }
}

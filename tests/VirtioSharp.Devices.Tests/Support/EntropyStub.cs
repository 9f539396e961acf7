using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>Calls itself an entropy device and does with a chain what a test says.</summary>
internal sealed class EntropyStub(EntropyStub.Script answer) : VirtioDevice
{
    public delegate void Script(scoped ref DeviceChain chain);

    public override DeviceTraits Traits { get; } = new(DeviceId.Entropy, Features.None, new QueueTraits("request", 64));

    public int Chains { get; private set; }

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        Chains++;
        answer(ref chain);
    }
}

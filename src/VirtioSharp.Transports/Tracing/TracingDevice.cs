using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Transports.Tracing;

/// <summary>A device that records when a request reaches it and what becomes of it, around another that serves it.</summary>
/// <param name="inner">The device.</param>
/// <param name="walk">Where the steps go.</param>
/// <param name="rings">Watches the queues.</param>
public sealed class TracingDevice(VirtioDevice inner, Walk walk, RingWatch rings) : DelegatingDevice(inner)
{
    /// <inheritdoc/>
    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        WalkStep? pop = walk.Fill(WalkSide.Device, "pop", "§2.7.13", $"{chain.ReadableLeft} bytes to read, room for {chain.WritableLeft}");
        rings.Explain(pop, queue);
        WalkStep? serve = walk.Begin(WalkSide.Device, "serve", "§5");
        base.OnChain(queue, ref chain);
        walk.End(serve, $"{Traits.Id}: {chain.Written} bytes written");
    }

    /// <summary>The device's end of the transport has shown the used chains and is about to interrupt: call it from there.</summary>
    public void OnInterrupt(int queue, string how)
    {
        WalkStep? push = walk.Fill(WalkSide.Device, "push", "§2.7.8");
        rings.Explain(push, queue);
        walk.Mark(WalkSide.Device, "interrupt", "§2.3", how);
    }
}

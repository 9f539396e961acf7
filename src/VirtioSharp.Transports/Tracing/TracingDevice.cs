using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

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
        bool isBlock = pop is not null && Traits.Id == DeviceId.Block;
        DeviceChain before = chain;
        if (isBlock)
            AddTo(pop, BlockWords.Header(before));
        rings.Explain(pop, queue);
        WalkStep? serve = walk.Begin(WalkSide.Device, "serve", isBlock ? "§5.2.6" : "§5");
        base.OnChain(queue, ref chain);
        walk.End(serve, $"{Traits.Id}: {chain.Written} bytes written");
        if (isBlock)
            AddTo(serve, $"status {BlockWords.Status(before)}");
    }

    /// <summary>For <see cref="DeviceHostOptions.WatchInterrupts"/>: what was used is in the ring, and the driver is about to be told.</summary>
    public IInterrupt Watch(IInterrupt inner) => new WatchedInterrupt(inner, walk, rings);

    private void AddTo(WalkStep? step, string? line)
    {
        walk.Pause();
        if (line is not null)
            step?.Lines.Add(line);
        walk.Resume();
    }

    private sealed class WatchedInterrupt(IInterrupt inner, Walk walk, RingWatch rings) : IInterrupt
    {
        public void SignalUsed(int queue)
        {
            WalkStep? push = walk.Fill(WalkSide.Device, "push", "§2.7.8");
            rings.Explain(push, queue);
            WalkStep? step = walk.Begin(WalkSide.Device, "interrupt", "§2.3");
            inner.SignalUsed(queue);
            walk.End(step, $"queue {queue} has used buffers");
        }

        public void SignalConfigurationChange()
        {
            WalkStep? step = walk.Begin(WalkSide.Device, "interrupt", "§2.3");
            inner.SignalConfigurationChange();
            walk.End(step, "configuration has changed");
        }
    }
}

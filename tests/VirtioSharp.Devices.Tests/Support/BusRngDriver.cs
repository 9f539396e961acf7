using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>An entropy driver for the bus: what it makes of a device reads one buffer at a time.</summary>
internal sealed class BusRngDriver : VirtioDriver
{
    public override string Name => "virtio_rng";

    public override IReadOnlyList<DeviceMatch> Devices { get; } = [new(DeviceId.Entropy)];

    protected override BoundDevice Probe(DriverSession session) => new Rng(session);

    public sealed class Rng(DriverSession session) : BoundDevice
    {
        private readonly DmaBuffer _buffer = session.Dma.Allocate(64);
        private readonly DriverQueue _queue = session.EnableQueue(0);

        public bool IsGone { get; private set; }

        public uint Read(TimeSpan timeout)
        {
            Assert.True(_queue.TryAdd([], [_buffer], out _));
            _queue.Kick();
            return _queue.Wait(timeout, out _, out uint length) ? length : 0;
        }

        protected override void OnRemove(bool isGone) => IsGone = true;
    }
}

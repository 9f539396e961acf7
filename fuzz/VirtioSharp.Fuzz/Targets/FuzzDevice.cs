using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A device of one queue that leaves what it does with a chain to the target.</summary>
internal sealed class FuzzDevice(FuzzDevice.Serve serve, Action stopping) : VirtioDevice, IDeviceObserver, IInterrupt, IWakeUp
{
    public delegate void Serve(scoped ref DeviceChain chain);

    private static readonly DeviceTraits TheTraits = new(DeviceId.Block, Features.None, new QueueTraits("request", 256));

    public override DeviceTraits Traits => TheTraits;

    /// <summary>Chains that a ring gave out and that never reached the device.</summary>
    public ulong Faults { get; private set; }

    public ulong Interrupts { get; private set; }

    /// <summary>A reason for NEEDS_RESET that no driver may be able to bring about.</summary>
    public Exception? Accident { get; private set; }

    public override void OnChain(int queue, scoped ref DeviceChain chain) => serve(ref chain);

    public override void OnStopping(int queue) => stopping();

    public void ChainFaulted(int queue, ChainFault fault) => Faults += fault.Kind == ChainFaultKind.Rejected ? 0u : 1u;

    public void NeedsReset(int queue, Exception reason)
    {
        if (reason is not (Core.Errors.QueueException or Core.Errors.DeviceException or PlannedException))
            Accident ??= reason;
    }

    public void SignalUsed(int queue) => Interrupts++;

    public void SignalConfigurationChange()
    {
    }

    public void WakeAfter(TimeSpan delay)
    {
    }

    public void FlushSoon()
    {
    }
}

/// <summary>What the device throws on purpose.</summary>
internal sealed class PlannedException : Exception;

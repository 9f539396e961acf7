using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>Runs one device for any transport: status rules, negotiation, reset, queue life, NEEDS_RESET. Written once.</summary>
/// <remarks>
/// A transport translates its registers or messages into these calls, all from one thread. The order a driver must
/// keep (§3.1.1): reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK, queues, DRIVER_OK.
/// </remarks>
public sealed partial class DeviceHost : IDeviceServices
{
    /// <summary>Chains served before the loop's other work has a turn.</summary>
    private const int ServiceBudget = 256;

    private readonly VirtioDevice _device;
    private readonly IInterrupt _interrupt;
    private readonly IWakeUp _wakeUp;
    private readonly DeviceHostOptions _options;
    private readonly IDeviceObserver _observer;
    private readonly QueueSlot[] _slots;
    private MemoryMap _memory = MemoryMap.Empty;
    private DirtyLog? _log;
    private Iotlb? _iotlb;
    private bool _startedEarly; // by a legacy driver that has not set DRIVER_OK

    /// <summary>Takes <paramref name="device"/> in. Its status is 0 (reset).</summary>
    public DeviceHost(VirtioDevice device, IInterrupt interrupt, IWakeUp wakeUp, DeviceHostOptions? options = null)
    {
        _options = options ?? new();
        interrupt = _options.WatchInterrupts?.Invoke(interrupt) ?? interrupt;
        (_device, _interrupt, _wakeUp) = (device, interrupt, wakeUp);
        _observer = _options.Observer ?? SilentObserver.Instance;
        Traits = device.Traits;
        FeatureSet reserved = Traits.Features & Features.Reserved;
        if (!reserved.IsEmpty)
            throw new ArgumentException($"the device offers {reserved}, which belong to the rings and the transport", nameof(device));
        _slots = [.. Traits.Queues.Select((traits, index) => new QueueSlot(index, traits, device, interrupt, wakeUp, _observer))];
        device.Attach(this);
    }

    /// <summary>What the device is.</summary>
    public DeviceTraits Traits { get; }

    /// <summary>Everything offered to the driver.</summary>
    public FeatureSet DeviceFeatures => (Traits.Features | _options.RingFeatures) - _options.WithheldFeatures;

    /// <summary>What the driver accepted so far.</summary>
    public FeatureSet DriverFeatures { get; private set; }

    /// <summary>The device status field (§2.1), as the driver reads it.</summary>
    public DeviceStatus Status { get; private set; }

    /// <summary>
    /// Whether the transport looks for chains by itself (<see cref="HasAvailable"/>). Drivers are then not asked for
    /// notifications after each service, but only when the transport is about to sleep (<see cref="Arm"/>).
    /// </summary>
    public bool IsPolled { get; set; }

    /// <summary>Changes whenever configuration space does (§2.5.1). 32 bits; a transport shows as many as it has.</summary>
    public uint ConfigurationGeneration { get; private set; }

    TimeProvider IDeviceServices.Time => _options.Time;

    private bool HasStarted => _startedEarly || (Status & DeviceStatus.DriverOk) != 0;

    private bool Runs => HasStarted && (Status & DeviceStatus.NeedsReset) == 0;

    /// <summary>The driver writes the status field: 0 resets, other values add their bits (§2.1.1).</summary>
    /// <remarks>A cleared bit stays set; FEATURES_OK stays clear when the features cannot be; NEEDS_RESET is not the driver's to set.</remarks>
    public void WriteStatus(DeviceStatus value)
    {
        if (value == DeviceStatus.Reset)
        {
            Reset();
            return;
        }

        DeviceStatus added = value & ~(Status | DeviceStatus.NeedsReset | DeviceStatus.Suspend); // SUSPEND is not offered
        if ((added & DeviceStatus.FeaturesOk) != 0 && !CanAccept(DriverFeatures))
            added &= ~DeviceStatus.FeaturesOk;
        if ((added & DeviceStatus.DriverOk) != 0 && !CanStart(added))
            added &= ~DeviceStatus.DriverOk;
        Status |= added;
        if ((added & DeviceStatus.DriverOk) != 0 && !_startedEarly)
            Start();
    }

    /// <summary>The driver writes its features. Ignored once FEATURES_OK is set (§3.1.1): they hold until a reset.</summary>
    public void WriteDriverFeatures(FeatureSet features)
    {
        if ((Status & DeviceStatus.FeaturesOk) == 0 && !_startedEarly)
            DriverFeatures = features;
    }

    /// <summary>
    /// A legacy driver uses the device before it sets DRIVER_OK, as many do; a transitional device must let it (§3.1.2). The
    /// features are then final. Ignored when the device runs already, or could not start with these features.
    /// </summary>
    public void StartEarly()
    {
        if (HasStarted || (Status & DeviceStatus.NeedsReset) != 0 || !CanStart(DeviceStatus.Reset))
            return;
        _startedEarly = true;
        Start();
    }

    /// <summary>Back to the beginning (§2.4): every queue is disabled, nothing is negotiated, status is 0.</summary>
    public void Reset()
    {
        Status = DeviceStatus.Reset;
        DriverFeatures = Features.None;
        _startedEarly = false;
        foreach (QueueSlot slot in _slots)
            Guard(slot.Index, slot.Reset);
        Guard(-1, _device.OnReset);
    }

    /// <summary>The driver enables a queue.</summary>
    /// <param name="index">Which.</param>
    /// <param name="layout">Where it put it.</param>
    /// <param name="at">Where to go on, for a queue that was in use before.</param>
    /// <exception cref="QueueException">The queue cannot be: the message names the field.</exception>
    /// <exception cref="UntranslatedException">It cannot be yet: the IOTLB does not know where its ring is.</exception>
    public void EnableQueue(int index, in QueueLayout layout, QueueSnapshot at = default)
    {
        QueueSlot slot = Slot(index);
        if (layout.Size > slot.Traits.MaxSize)
            throw new QueueException($"queue size = {layout.Size} of queue {index} is more than the device's {slot.Traits.MaxSize}");
        DeviceQueue queue = Attach(slot, layout, at);
        if (slot.Queue is not null)
        {
            // Attached again after the old one has stopped, because that may have moved the used index.
            queue.Stop(); // it was only a trial
            Guard(index, () => slot.Stop());
            queue = Attach(slot, layout, at);
        }

        slot.Put(queue);
        slot.Layout = layout; // only now: a layout that was refused must not be tried again by SetMemory
    }

    /// <summary>As <see cref="EnableQueue"/>, for registers, which cannot answer: a queue that cannot be is NEEDS_RESET.</summary>
    /// <returns>Whether the queue is enabled now.</returns>
    public bool TryEnableQueue(int index, in QueueLayout layout)
    {
        try
        {
            EnableQueue(index, layout);
            return true;
        }
        catch (QueueException refused)
        {
            EnterNeedsReset(index, refused);
            return false;
        }
    }

    /// <summary>Stops a queue. The device does not touch its ring again.</summary>
    /// <param name="index">Which.</param>
    /// <param name="leaveInFlight">Whether the next device to use it knows what is noted in its region (<see cref="Track"/>): what is in
    /// flight is then left there. Without a region, it is completed.</param>
    /// <returns>Where it stood, also if NEEDS_RESET has stopped it before; the beginning, when it was not enabled.</returns>
    public QueueSnapshot DisableQueue(int index, bool leaveInFlight = false)
    {
        QueueSlot slot = Slot(index);
        QueueSnapshot at = default;
        leaveInFlight &= slot.Inflight is not null;
        while (!leaveInFlight && slot.Queue is { Owed: > 0 } && Service(index))
        {
            // A position does not tell of them. What the device postpones stays noted in the region, and is owed again.
        }

        Guard(index, () => at = slot.Remove(leaveInFlight));
        return at;
    }

    /// <summary>The driver resets one queue (§2.6.1): it may enable it again, laid out anew. Ignored unless RING_RESET was negotiated.</summary>
    public void ResetQueue(int index)
    {
        QueueSlot slot = Slot(index);
        if (DriverFeatures.Has(Features.RingReset))
            Guard(index, () => slot.Remove());
    }

    /// <summary>What the driver did leaves no way on, and the transport cannot say so otherwise: a queue that cannot be enabled, say. NEEDS_RESET (§2.1.2).</summary>
    /// <param name="index">The queue, or −1.</param>
    /// <param name="reason">What was wrong; the observer is told.</param>
    public void Fail(int index, Exception reason) => EnterNeedsReset(index, reason);

    /// <summary>Whether a queue is enabled.</summary>
    public bool IsEnabled(int index) => Slot(index).Queue is not null;

    /// <summary>Where an enabled queue stands, and how many of its chains the device holds; null when it is not enabled. Looks at nothing of the driver's.</summary>
    public (QueueSnapshot At, int Held)? Position(int index) => Slot(index).Queue is { } queue ? (queue.Snapshot, queue.Held) : null;

    /// <summary>Whether an enabled queue has never shown a chain, though it started at the beginning: no driver has written to it, as far as we see.</summary>
    public bool IsUntouched(int index) => Slot(index) is { HasServed: false } && Look(index, static queue => queue.Snapshot == default && !queue.HasAvailable());

    /// <summary>What a queue has done.</summary>
    public QueueStatistics Statistics(int index) => Slot(index).Statistics;

    /// <summary>An available buffer notification arrived (§2.3): serves the queue. Before DRIVER_OK nothing is consumed, but the notification is kept.</summary>
    /// <returns>True when more is waiting than one turn allows: call <see cref="Service"/> again after other work.</returns>
    public bool Notify(int index)
    {
        QueueSlot slot = Slot(index);
        slot.Notifications++;
        slot.NotifiedEarly |= !HasStarted;
        return Service(index);
    }

    /// <summary>Serves a queue without a notification. See <see cref="Notify"/>.</summary>
    public bool Service(int index)
    {
        QueueSlot slot = Slot(index);
        if (!Runs || slot.Queue is not { } queue)
            return false;
        try
        {
            ServiceOutcome outcome = queue.Service(ServiceBudget, rearm: !IsPolled);
            slot.IsResting = outcome == ServiceOutcome.Postponed;
            return outcome == ServiceOutcome.More;
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            // The ring broke, or the device did: either way it is this device that stops, not the process.
            EnterNeedsReset(index, failure);
            return false;
        }
    }

    /// <summary>Whether a chain waits that could be served now. Looks, and changes nothing.</summary>
    public bool HasAvailable(int index) => Look(index, static queue => queue.HasAvailable());

    /// <summary>Asks the driver to notify again, for a transport that polls and is about to sleep.</summary>
    /// <returns>True when a chain came in before the driver could know: do not sleep, no notification will come for it.</returns>
    public bool Arm(int index) => Look(index, static queue => queue.Arm());

    /// <summary>The device's alarm went off: serves every queue.</summary>
    /// <returns>True when more is waiting than one turn allows: call it again after other work.</returns>
    public bool Wake()
    {
        bool more = false;
        for (int index = 0; index < _slots.Length; index++)
            more |= Service(index);
        return more;
    }

    /// <summary>Shows the driver what devices completed outside of a service (<see cref="IWakeUp.FlushSoon"/>).</summary>
    public void Flush()
    {
        foreach (QueueSlot slot in _slots)
        {
            if (slot.NeedsFlush)
                slot.Queue?.Flush();
            slot.NeedsFlush = false;
        }
    }

    /// <summary>Reads configuration space; bytes beyond its end read as 0.</summary>
    public void ReadConfiguration(uint offset, Span<byte> destination)
    {
        destination.Clear();
        if (offset >= Traits.ConfigurationSize)
            return;
        try
        {
            _device.ReadConfiguration((int)offset, destination[..Math.Min(destination.Length, Traits.ConfigurationSize - (int)offset)]);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            EnterNeedsReset(-1, failure);
        }
    }

    /// <summary>Writes configuration space. A write that is not wholly inside it is ignored, and so is one to what only the device may change.</summary>
    /// <returns>False when it was ignored.</returns>
    public bool WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
        if (offset > Traits.ConfigurationSize || source.Length > Traits.ConfigurationSize - (int)offset)
            return false;
        try
        {
            return _device.WriteConfiguration((int)offset, source);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            EnterNeedsReset(-1, failure);
            return true;
        }
    }

    void IDeviceServices.ConfigurationChanged()
    {
        ConfigurationGeneration++;
        if (HasStarted)
            _interrupt.SignalConfigurationChange();
    }

    void IDeviceServices.WakeAfter(TimeSpan delay) => _wakeUp.WakeAfter(delay);

    private bool CanAccept(FeatureSet features) =>
        (features - DeviceFeatures).IsEmpty && (_options.AllowLegacy || features.Has(Features.Version1));

    /// <summary>A legacy driver knows no FEATURES_OK; any other must have had it accepted.</summary>
    private bool CanStart(DeviceStatus added) =>
        ((Status | added) & DeviceStatus.FeaturesOk) != 0
        || (_options.AllowLegacy && !DriverFeatures.Has(Features.Version1) && CanAccept(DriverFeatures));

    private QueueSlot Slot(int index) => (uint)index < (uint)_slots.Length
        ? _slots[index]
        : throw new QueueException($"queue {index} does not exist: the device has {_slots.Length}");

    private DeviceQueue Attach(QueueSlot slot, in QueueLayout layout, QueueSnapshot at) =>
        RingFormat.Attach(slot, layout, new GuestMemory(_memory, _iotlb), _log, DriverFeatures, at);

    private void Start()
    {
        Guard(-1, () => _device.OnStart(DriverFeatures));

        // Some drivers notify too early (§3.1.1 forbids it). With EVENT_IDX they would not do so again.
        foreach (QueueSlot slot in _slots)
        {
            if (slot.NotifiedEarly)
                _wakeUp.WakeAfter(TimeSpan.Zero);
            slot.NotifiedEarly = false;
        }
    }

    private bool Look(int index, Func<DeviceQueue, bool> look)
    {
        QueueSlot slot = Slot(index);
        if (!Runs || slot.IsResting || slot.Queue is not { } queue)
            return false;
        try
        {
            return look(queue);
        }
        catch (QueueException broken)
        {
            EnterNeedsReset(index, broken);
            return false;
        }
    }

    private void Guard(int queue, Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            EnterNeedsReset(queue, failure);
        }
    }

    /// <summary>§2.1.2: sets NEEDS_RESET and, when the driver is ready, tells it.</summary>
    private void EnterNeedsReset(int queue, Exception reason)
    {
        Status |= DeviceStatus.NeedsReset;
        foreach (QueueSlot slot in _slots)
        {
            try
            {
                slot.Stop();
            }
            catch (Exception failure) when (failure is not OutOfMemoryException)
            {
                _observer.NeedsReset(slot.Index, failure);
            }
        }

        _observer.NeedsReset(queue, reason);
        if (HasStarted)
            _interrupt.SignalConfigurationChange();
    }
}

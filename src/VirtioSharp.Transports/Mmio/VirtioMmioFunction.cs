using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;

namespace VirtioSharp.Transports.Mmio;

/// <summary>A device behind a virtio-mmio window (§4.2), as a machine's bus calls it: register accesses in, one interrupt line out.</summary>
/// <remarks>
/// <para>What a driver must not do has no effect: control registers that are accessed in another width than 32 bits, misaligned,
/// against their direction, beyond the window or in the other version's layout read 0 and ignore what is written (§4.2.2.2).
/// Configuration space takes 8, 16 and 32 bits at any offset.</para>
/// <para>One thread at a time, save for <see cref="RaiseInterrupt"/>, <see cref="IsInterruptRaised"/>, and what a driver does while
/// all goes well: InterruptStatus, InterruptACK, and QueueNotify with a doorbell. An access allocates nothing, unless it resets the
/// device or enables or stops a queue.</para>
/// </remarks>
public sealed class VirtioMmioFunction : IRegisterWindow
{
    /// <summary>Devices are described with windows of this many bytes (§4.2.1); larger ones only when configuration space is.</summary>
    private const int WindowBytes = 0x200;

    private readonly MmioFunctionOptions _options;
    private readonly InterruptLatch _interrupt = new();
    private readonly Turns _turns;
    private readonly MmioQueues _queues;
    private readonly Action?[] _doorbells;
    private uint _deviceFeaturesSelect, _driverFeaturesSelect;

    /// <summary>Takes <paramref name="device"/> in.</summary>
    /// <param name="device">A device without a host.</param>
    /// <param name="wakeUp">The loop that the device lives in; what it is asked for is to call <see cref="Wake"/> and <see cref="Flush"/>.</param>
    /// <param name="options">How it is shown.</param>
    public VirtioMmioFunction(VirtioDevice device, IWakeUp wakeUp, MmioFunctionOptions? options = null)
    {
        _options = options ?? new MmioFunctionOptions();
        _turns = new Turns(wakeUp);
        Host = new DeviceHost(device, _interrupt, _turns, _options.EffectiveHost);
        _queues = IsLegacy ? new LegacyMmioQueues(Host) : new CurrentMmioQueues(Host);
        _doorbells = new Action?[Host.Traits.Queues.Count];
        Length = (ulong)Math.Max(WindowBytes, MmioRegister.DeviceConfiguration + (Host.Traits.ConfigurationSize + 3) / 4 * 4);
    }

    /// <summary>The device's host: give it memory, look at what it did.</summary>
    public DeviceHost Host { get; }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <summary>Whether the interrupt line is raised: some event has been neither acknowledged nor reset.</summary>
    public bool IsInterruptRaised => _interrupt.IsRaised;

    /// <summary>Is called when the line rises (true) and falls, on whatever thread did it: never two calls at a time, and the last
    /// one says what holds. It must not throw.</summary>
    public Action<bool>? LineChanged
    {
        get => _interrupt.LineChanged;
        set => _interrupt.LineChanged = value;
    }

    /// <summary>Whether some queue used up its turn: <see cref="Wake"/> is due, and the loop has been asked for it.</summary>
    public bool IsBehind => _turns.More;

    private bool IsLegacy => _options.Version == MmioVersion.Legacy;

    /// <summary>Raises the interrupt from outside, for whoever serves the queues elsewhere. From any thread.</summary>
    public void RaiseInterrupt(InterruptStatus events) => _interrupt.Raise(events);

    /// <summary>
    /// Takes one queue's notifications out of the driver's access: each rings, and nothing else happens, until <see cref="Notify"/>
    /// is called on whatever thread serves the device. As an ioeventfd does it, for whoever has none.
    /// </summary>
    /// <param name="queue">Which queue.</param>
    /// <param name="ring">Called for each notification, on the driver's thread; null has the queue served there and then.</param>
    public void SetDoorbell(int queue, Action? ring) => _doorbells[queue] = ring;

    /// <summary>The driver notified a queue on a way around the registers. On the device's thread.</summary>
    public void Notify(int queue) => _turns.After(Host.Notify(queue));

    /// <summary>The alarm that was asked for goes off.</summary>
    public void Wake()
    {
        _turns.Begin();
        _turns.After(Host.Wake());
    }

    /// <summary>The work at hand is done.</summary>
    public void Flush() => Host.Flush();

    /// <inheritdoc/>
    public uint Read(ulong offset, int width)
    {
        if (offset >= MmioRegister.DeviceConfiguration)
            return ConfigurationAccess.Read(Host, offset - MmioRegister.DeviceConfiguration, width);
        return width == 4 && (offset & 3) == 0 ? ReadRegister((int)offset) : 0;
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, uint value)
    {
        if (offset >= MmioRegister.DeviceConfiguration)
            ConfigurationAccess.Write(Host, offset - MmioRegister.DeviceConfiguration, width, value);
        else if (width == 4 && (offset & 3) == 0)
            WriteRegister((int)offset, value);
    }

    private uint ReadRegister(int register) => register switch
    {
        MmioRegister.MagicValue => MmioRegister.Magic,
        MmioRegister.Version => (uint)_options.Version,
        MmioRegister.DeviceId => (uint)Host.Traits.Id,
        MmioRegister.VendorId => _options.VendorId,
        MmioRegister.DeviceFeatures => IsLegacy && _deviceFeaturesSelect > 0 ? 0 : Host.DeviceFeatures.Word(_deviceFeaturesSelect),
        MmioRegister.InterruptStatus => (uint)_interrupt.Status,
        MmioRegister.Status => (uint)Host.Status,
        // Length and base, both halves: there are no shared memory regions.
        >= MmioRegister.SharedMemoryLength and <= MmioRegister.SharedMemoryBase + 4 when !IsLegacy => uint.MaxValue,
        MmioRegister.ConfigurationGeneration when !IsLegacy => Host.ConfigurationGeneration,
        _ => _queues.Read(register),
    };

    private void WriteRegister(int register, uint value)
    {
        switch (register)
        {
            case MmioRegister.DeviceFeaturesSelect:
                _deviceFeaturesSelect = value;
                break;
            case MmioRegister.DriverFeaturesSelect:
                _driverFeaturesSelect = value;
                break;
            case MmioRegister.DriverFeatures:
                WriteDriverFeatures(value);
                break;
            case MmioRegister.QueueSelect:
                _queues.Select(value);
                break;
            case MmioRegister.QueueNotify:
                OnNotify(Host.DriverFeatures.Has(Features.NotificationData) ? (ushort)value : value);
                break;
            case MmioRegister.InterruptAcknowledge:
                _interrupt.Acknowledge((InterruptStatus)value);
                break;
            case MmioRegister.Status:
                WriteStatus(value);
                break;
            default:
                _queues.Write(register, value);
                break;
        }
    }

    private void OnNotify(uint queue)
    {
        if (queue >= (uint)_doorbells.Length)
            return;
        if (IsLegacy)
            Host.StartEarly(); // many legacy drivers use the device before they set DRIVER_OK
        if (_doorbells[queue] is { } ring)
            ring();
        else
            Notify((int)queue);
    }

    private void WriteDriverFeatures(uint value)
    {
        // A legacy driver has no FEATURES_OK, so the rings that it enables are what fixes its features.
        if (_queues is LegacyMmioQueues legacy && (_driverFeaturesSelect > 0 || legacy.AnyInUse || (Host.Status & DeviceStatus.DriverOk) != 0))
            return;
        Host.WriteDriverFeatures(Host.DriverFeatures.WithWord(_driverFeaturesSelect, value));
    }

    private void WriteStatus(uint value)
    {
        if (value == 0)
            Reset();
        else if ((byte)value != 0) // 0x100, say, is neither a reset nor a status
            Host.WriteStatus((DeviceStatus)value);
    }

    private void Reset()
    {
        Host.Reset();
        _queues.Reset();
        (_deviceFeaturesSelect, _driverFeaturesSelect) = (0, 0);
        _interrupt.Acknowledge((InterruptStatus)byte.MaxValue); // last: queues that are stopped may still have signalled
    }

    /// <summary>The loop as the host sees it: while a queue waits for its next turn, no alarm may be later than now.</summary>
    private sealed class Turns(IWakeUp loop) : IWakeUp
    {
        public bool More { get; private set; }

        public void WakeAfter(TimeSpan delay) => loop.WakeAfter(More ? TimeSpan.Zero : delay);

        public void FlushSoon() => loop.FlushSoon();

        public void Begin() => More = false;

        public void After(bool more)
        {
            More |= more;
            if (more)
                loop.WakeAfter(TimeSpan.Zero);
        }
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Loopback;

/// <summary>A driver and a device in one process, on one thread: a notification is a call, an interrupt sets a flag.</summary>
/// <remarks>
/// The embedded default and the tests' double, and an honest one: rings, negotiation and status rules are those of
/// any other transport, and addresses are not pointers. The device's alarm goes off while its driver waits.
/// </remarks>
public sealed class LoopbackTransport : IDriverTransport
{
    /// <summary>Where the device sees the arena. Not 0, and nothing like a pointer: who mixes them up fails at once.</summary>
    private static readonly GuestAddress ArenaStart = new(0x1_0000_0000);

    private readonly Wiring _wiring;
    private readonly InProcessLoop _loop;

    /// <summary>Puts <paramref name="device"/> at the other end.</summary>
    /// <param name="device">A device without a host.</param>
    /// <param name="options">How it is hosted.</param>
    /// <param name="arenaBytes">Memory for the driver's rings and buffers.</param>
    /// <param name="legacyAlignment">Not 0: a legacy interface, with rings aligned like that (§2.7.2; PCI has 4096). What legacy drivers
    /// know is offered beside the options' ring features, and of all features bits 0–31 are shown.</param>
    public LoopbackTransport(VirtioDevice device, DeviceHostOptions? options = null, int arenaBytes = 4 << 20, int legacyAlignment = 0)
    {
        options ??= new DeviceHostOptions();
        LegacyAlignment = legacyAlignment;
        if (legacyAlignment != 0)
            options = options with { AllowLegacy = true, RingFeatures = options.RingFeatures | Features.AnyLayout | Features.NotifyOnEmpty };
        Time = options.Time;
        Dma = DmaArena.CreateLocal(ArenaStart, arenaBytes);
        _wiring = new Wiring(device.Traits.Queues.Count);
        _loop = new InProcessLoop(Time);
        Host = new DeviceHost(device, _wiring, _loop, options);
        Host.SetMemory(MemoryMap.Create([Dma.Region]));
    }

    /// <summary>The device's side, to look at.</summary>
    public DeviceHost Host { get; }

    /// <inheritdoc/>
    public DeviceId DeviceId => Host.Traits.Id;

    /// <inheritdoc/>
    public int QueueCount => Host.Traits.Queues.Count;

    /// <inheritdoc/>
    public DmaArena Dma { get; }

    /// <inheritdoc/>
    public TimeProvider Time { get; }

    /// <inheritdoc/>
    public int LegacyAlignment { get; }

    /// <summary>Configuration change notifications that the device has sent.</summary>
    public int ConfigurationChanges => _wiring.ConfigurationChanges;

    /// <inheritdoc/>
    public FeatureSet ReadDeviceFeatures() => LegacyAlignment == 0 ? Host.DeviceFeatures : new FeatureSet(Host.DeviceFeatures.Word(0));

    /// <inheritdoc/>
    public void WriteDriverFeatures(FeatureSet features) => Host.WriteDriverFeatures(features);

    /// <inheritdoc/>
    public DeviceStatus ReadStatus() => Host.Status;

    /// <inheritdoc/>
    public void WriteStatus(DeviceStatus status) => Host.WriteStatus(status);

    /// <inheritdoc/>
    public void ReadConfiguration(uint offset, Span<byte> destination) => Host.ReadConfiguration(offset, destination);

    /// <inheritdoc/>
    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) => Host.WriteConfiguration(offset, source);

    /// <inheritdoc/>
    public uint ReadConfigurationGeneration() => LegacyAlignment == 0 ? Host.ConfigurationGeneration : 0;

    /// <inheritdoc/>
    public int ReadMaxQueueSize(int index) => (uint)index < (uint)QueueCount ? Host.Traits.Queues[index].MaxSize : 0;

    /// <inheritdoc/>
    public void EnableQueue(int index, in QueueLayout layout) => Host.EnableQueue(index, LegacyAlignment == 0 ? layout : FromPage(index, layout));

    /// <inheritdoc/>
    public void ResetQueue(int index) => Host.ResetQueue(index);

    /// <inheritdoc/>
    public void Notify(QueueNotification notification)
    {
        bool more = Host.Notify(notification.Queue);
        while (more)
            more = Host.Service(notification.Queue);
        Flush();
    }

    /// <inheritdoc/>
    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        Flush();
        while (true)
        {
            InterruptSource taken = _wiring.Take(sources);
            if (taken != InterruptSource.None)
                return taken;

            // Nobody else runs here: only the device's alarm can still bring an interrupt.
            if (!_loop.WaitForAlarm(ref timeout))
                return InterruptSource.None;
            while (Host.Wake())
            {
            }

            Flush();
        }
    }

    /// <summary>Resets the device and frees the arena.</summary>
    public void Dispose()
    {
        Host.Reset();
        Host.SetMemory(MemoryMap.Empty);
        Dma.Dispose();
    }

    /// <summary>All that gets through a legacy interface: the number of the page where the ring starts.</summary>
    private QueueLayout FromPage(int index, in QueueLayout layout)
    {
        ulong page = (uint)(layout.DescriptorArea.Value / (uint)LegacyAlignment);
        return LegacyRing.At(page * (uint)LegacyAlignment, (uint)Host.Traits.Queues[index].MaxSize, (uint)LegacyAlignment);
    }

    private void Flush()
    {
        if (_loop.TakeFlush())
            Host.Flush();
    }

    /// <summary>The line from the device back to its driver.</summary>
    private sealed class Wiring(int queues) : IInterrupt
    {
        private readonly PendingNotifications _pending = new(queues);

        public int ConfigurationChanges { get; private set; }

        public void SignalUsed(int queue) => _pending[queue] = true;

        public void SignalConfigurationChange()
        {
            ConfigurationChanges++;
            _pending.Configuration = true;
        }

        public InterruptSource Take(ReadOnlySpan<InterruptSource> sources) => _pending.Take(sources);
    }
}

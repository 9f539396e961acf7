using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Legacy;
using VirtioSharp.Transports.Pci.Modern;
using VirtioSharp.Transports.Pci.Software;

namespace VirtioSharp.Transports.Pci;

/// <summary>A virtio device as a PCI function (§4.1): modern, legacy, or both; the device half of both register personalities.</summary>
/// <remarks>
/// <code>
///  BAR 0  I/O       legacy registers          (legacy, transitional)
///  BAR 1  memory32  MSI-X table, pending bits
///  BAR 2  memory64  shared memory
///  BAR 4  memory64  modern structures         (modern, transitional)
/// </code>
/// </remarks>
public sealed class VirtioPciFunction : SoftwarePciFunction
{
    private readonly VirtioPciDevice _device;
    private readonly ConfigurationWindow? _window;

    /// <summary>Puts <paramref name="device"/> behind a function.</summary>
    /// <param name="device">A device without a host.</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">The device type has no legacy interface, or the capabilities do not fit.</exception>
    public VirtioPciFunction(VirtioDevice device, VirtioPciOptions? options = null)
        : this(device, device.Traits, options ?? new())
    {
    }

    private VirtioPciFunction(VirtioDevice device, DeviceTraits traits, VirtioPciOptions options)
        : base($"virtio-pci {traits.Id}", options.Interface == VirtioPciInterface.Modern ? VirtioPciIdentity.OfModern(traits.Id) : VirtioPciIdentity.OfLegacy(traits.Id), options.HasLine)
    {
        _device = new VirtioPciDevice(device, HostOptions(options), InterruptChanged, WorkChanged);
        if (options.Interface != VirtioPciInterface.Modern)
            AddBar(0, new PciBar(PciBarKind.Io, new LegacyRegisters(_device)));
        int vectors = options.Vectors ?? Math.Min(traits.Queues.Count + 1, MsixLayout.MaxVectors);
        if (vectors > 0)
            AddMsix(1, vectors);
        _device.Interrupts.Msix = Msix;
        if (options.Interface != VirtioPciInterface.Legacy)
            _window = AddModern(traits, options);
        Seal();
    }

    /// <summary>The device's side, to look at.</summary>
    public DeviceHost Host => _device.Host;

    /// <summary>
    /// The device's notifications, for whoever stands in for the device (a proxy, whose rings another process serves): safe from
    /// any thread and lock-free. Set <see cref="SoftwarePciFunction.IsInterruptedFromOutside"/> when another thread uses it.
    /// </summary>
    public IInterrupt Interrupts => _device.Interrupts;

    /// <inheritdoc/>
    public override TimeSpan? UntilWork => _device.Loop.NeedsFlush || _device.HasMore ? TimeSpan.Zero : _device.Loop.UntilAlarm;

    /// <inheritdoc/>
    protected override bool WantsInterrupt => _device.Interrupts.HasStatus;

    /// <summary>
    /// Has the notifications of a queue answered by <paramref name="ring"/> in place of the device host, as a VMM does with an
    /// ioeventfd: whoever is signalled serves the queue (<see cref="DeviceHost.Notify"/>), or is another process.
    /// </summary>
    /// <param name="queue">Which queue.</param>
    /// <param name="ring">Called for each notification, on the driver's thread; null goes back to the host.</param>
    public void SetDoorbell(int queue, Action? ring) => _device.SetDoorbell(queue, ring);

    /// <inheritdoc/>
    public override void Work() => _device.Work();

    /// <inheritdoc/>
    public override uint ReadConfiguration(int offset, int width)
    {
        _window?.OnRead(offset);
        return base.ReadConfiguration(offset, width);
    }

    /// <inheritdoc/>
    public override void WriteConfiguration(int offset, int width, uint value)
    {
        base.WriteConfiguration(offset, width, value);
        _window?.OnWritten(offset);
    }

    /// <inheritdoc/>
    protected override void OnMemoryChanged(MemoryMap map) => Host.SetMemory(map);

    /// <inheritdoc/>
    protected override void OnReset() => _device.Reset();

    private static DeviceHostOptions HostOptions(VirtioPciOptions options)
    {
        DeviceHostOptions host = options.Host ?? new() { RingFeatures = DeviceHostOptions.AllRingFeatures | Features.NotifyConfigData };
        return options.Interface == VirtioPciInterface.Modern
            ? host with { AllowLegacy = false }
            : host with { AllowLegacy = true, RingFeatures = host.RingFeatures | Features.LegacyOnly };
    }

    private ConfigurationWindow AddModern(DeviceTraits traits, VirtioPciOptions options)
    {
        if (options.NotifyMultiplier != 0 && (options.NotifyMultiplier < 4 || !int.IsPow2(options.NotifyMultiplier)))
            throw new ArgumentException($"notify multiplier = {options.NotifyMultiplier} is neither 0 nor a power of two from 4 on", nameof(options));
        if (traits.ConfigurationSize > ModernLayout.PageBytes)
            throw new ArgumentException($"{traits.ConfigurationSize} bytes of device configuration are more than a page", nameof(traits));

        var registers = new ModernRegisters(_device, options.Interface == VirtioPciInterface.Transitional, options.NotifyMultiplier);
        AddBar(ModernLayout.Bar, new PciBar(PciBarKind.Memory64, registers));
        var capabilities = new ModernCapabilities(Configuration, Capabilities);
        capabilities.AddStructures(registers, traits.ConfigurationSize, options.NotifyMultiplier);
        var window = new ConfigurationWindow(this, Configuration, capabilities);
        AddSharedMemory(capabilities, options.SharedMemory);
        foreach (PciVendorData vendor in options.VendorData)
            capabilities.AddVendorData(vendor);
        return window;
    }

    private void AddSharedMemory(ModernCapabilities capabilities, IReadOnlyList<PciSharedMemory> regions)
    {
        if (regions.Count == 0)
            return;
        var registers = new SharedMemoryRegisters(regions);
        AddBar(ModernLayout.SharedMemoryBar, new PciBar(PciBarKind.Memory64, registers, isPrefetchable: true));
        for (int i = 0; i < regions.Count; i++)
            capabilities.AddSharedMemory(regions[i].Id, registers.StartOf(i), regions[i].Memory.Length);
    }
}

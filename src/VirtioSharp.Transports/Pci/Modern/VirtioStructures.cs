using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>The structures of a modern device (§4.1.4): of each type the first whose capability holds what it says.</summary>
internal sealed class VirtioStructures
{
    /// <summary>Bytes of a structure that its smallest use needs.</summary>
    private const ulong MinNotify = 2, MinInterruptStatus = 1, MinDevice = 1;

    private readonly IPciFunction _function;
    private readonly List<VirtioPciCapability> _capabilities;
    private readonly List<string> _ignored = [];
    private readonly int _accessCapability;
    private readonly IRegisterWindow?[] _windows = new IRegisterWindow?[6];

    /// <summary>Finds them.</summary>
    /// <param name="function">Whose.</param>
    /// <param name="throughConfigurationSpace">Not by its BARs, but by the configuration access capability.</param>
    /// <exception cref="TransportException">One that must be there is not, or none of its capabilities can be.</exception>
    public VirtioStructures(IPciFunction function, bool throughConfigurationSpace)
    {
        _function = function;
        _capabilities = VirtioPciCapability.ReadAll(function, _ignored);
        if (throughConfigurationSpace)
        {
            _accessCapability = _capabilities.Find(c => c.Type == VirtioPciCapabilityType.PciConfigurationAccess).Position;
            if (_accessCapability == 0)
                throw Missing("PCI configuration access");
        }

        Common = Find(VirtioPciCapabilityType.CommonConfiguration, "common configuration", CommonConfigurationRegister.MinSize, 4, out _)
            ?? throw Missing("common configuration");
        Notify = Find(VirtioPciCapabilityType.Notification, "notification", MinNotify, 2, out VirtioPciCapability notify) ?? throw Missing("notification");
        NotifyMultiplier = notify.Multiplier;
        InterruptStatus = Find(VirtioPciCapabilityType.InterruptStatus, "ISR status", MinInterruptStatus, 1, out _) ?? throw Missing("ISR status");
        Device = Find(VirtioPciCapabilityType.DeviceConfiguration, "device configuration", MinDevice, 4, out _);
        SharedMemory = FindSharedMemory();
    }

    public RegisterStructure Common { get; }

    public RegisterStructure Notify { get; }

    public uint NotifyMultiplier { get; }

    public RegisterStructure InterruptStatus { get; }

    /// <summary>Null for devices that have no configuration.</summary>
    public RegisterStructure? Device { get; }

    public IReadOnlyList<PciSharedMemoryRegion> SharedMemory { get; }

    /// <summary>Capabilities that say what cannot be, and why.</summary>
    public IReadOnlyList<string> Ignored => _ignored;

    private RegisterStructure? Find(VirtioPciCapabilityType type, string name, ulong minimum, ulong alignment, out VirtioPciCapability used)
    {
        foreach (VirtioPciCapability capability in _capabilities)
        {
            used = capability;
            if (capability.Type != type)
                continue;
            if (WindowOf(capability) is not { } window)
                continue;
            string? wrong = capability.Offset % alignment != 0 ? $"offset = 0x{capability.Offset:x} is not aligned to {alignment}"
                : capability.Length < minimum ? $"length = {capability.Length}, at least {minimum} are needed"
                : minimum > window.Length || capability.Offset > window.Length - minimum ? $"offset = 0x{capability.Offset:x} is beyond the 0x{window.Length:x} bytes of BAR {capability.Bar}"
                : null;
            // §4.1.4.1: a length larger than expected is to be handled, also when the BAR ends before it.
            if (wrong is null)
                return new(_function, name, window, capability.Offset, Math.Min(capability.Length, window.Length - capability.Offset));
            _ignored.Add($"{capability}: {wrong}");
        }

        used = default;
        return null;
    }

    private List<PciSharedMemoryRegion> FindSharedMemory()
    {
        List<PciSharedMemoryRegion> regions = [];
        foreach (VirtioPciCapability capability in _capabilities)
        {
            if (capability.Type != VirtioPciCapabilityType.SharedMemory)
                continue;
            if (WindowOf(capability) is not { } window)
                continue;
            // §4.1.4.7.1: contained within the BAR, and no id twice.
            if (capability.Length > window.Length || capability.Offset > window.Length - capability.Length)
                _ignored.Add($"{capability}: 0x{capability.Length:x} bytes at 0x{capability.Offset:x} are not inside the 0x{window.Length:x} bytes of BAR {capability.Bar}");
            else if (regions.Exists(region => region.Id == capability.Id))
                _ignored.Add($"{capability}: id = {capability.Id} is there twice");
            else
                regions.Add(new(capability.Id, capability.Bar, capability.Offset, capability.Length));
        }

        return regions;
    }

    private IRegisterWindow? WindowOf(VirtioPciCapability capability)
    {
        ref IRegisterWindow? window = ref _windows[capability.Bar];
        window ??= _accessCapability != 0 ? new ConfigurationAccessWindow(_function, _accessCapability, capability.Bar) : _function.OpenBar(capability.Bar);
        if (window is null)
            _ignored.Add($"{capability}: there is no BAR {capability.Bar}");
        return window;
    }

    private TransportException Missing(string what) => new($"{_function.Name}: no {what} structure" + (_ignored.Count == 0 ? "" : ": " + string.Join("; ", _ignored)));
}

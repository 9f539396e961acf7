using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Text;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Modern;

namespace VirtioSharp.Transports.Tracing;

/// <summary>What the registers of a window are called, so that a trace need not be read with the specification beside it.</summary>
public sealed class RegisterNames
{
    private readonly Dictionary<ulong, string> _names = [];
    private readonly List<(ulong Start, ulong Length, string Name)> _areas = [];

    /// <summary>A virtio-mmio window.</summary>
    public static RegisterNames Mmio()
    {
        var names = new RegisterNames();
        names.Add(typeof(MmioRegister), 0, MmioRegister.DeviceConfiguration, "");
        names._areas.Add((MmioRegister.DeviceConfiguration, ulong.MaxValue, "device configuration"));
        return names;
    }

    /// <summary>BAR 0 of a legacy function, without MSI-X.</summary>
    public static RegisterNames LegacyPci()
    {
        var names = new RegisterNames();
        names.Add(typeof(LegacyPciRegister), 0, LegacyPciRegister.DeviceConfiguration, "");
        names._areas.Add((LegacyPciRegister.DeviceConfiguration, ulong.MaxValue, "vectors and device configuration"));
        return names;
    }

    /// <summary>A BAR of a modern function, by the capabilities that point into it.</summary>
    public static RegisterNames ModernPci(IPciFunction function, int bar)
    {
        var names = new RegisterNames();
        foreach (PciCapability capability in PciCapabilityWalk.Read(function))
        {
            if (capability.Id == PciCapabilityId.MsiX)
                names.AddVectors(function, capability.Position, bar);
        }

        foreach (VirtioPciCapability capability in VirtioPciCapability.ReadAll(function, []))
        {
            if (capability.Bar == bar)
                names.AddStructure(capability);
        }

        return names;
    }

    /// <summary>The name of the register at an offset; empty where none is known.</summary>
    public string Of(ulong offset)
    {
        if (_names.TryGetValue(offset, out string? name))
            return name;
        foreach ((ulong start, ulong length, string area) in _areas)
        {
            if (offset - start < length)
                return $"{area} +{offset - start}";
        }

        return "";
    }

    private void AddVectors(IPciFunction function, int at, int bar)
    {
        uint table = function.ReadConfiguration(at + MsixLayout.TableOffset, 4);
        uint vectors = (function.ReadConfiguration(at + MsixLayout.ControlOffset, 2) & MsixLayout.SizeMask) + 1;
        if ((table & MsixLayout.BarMask) == bar)
            _areas.Add((table & ~MsixLayout.BarMask, vectors * MsixLayout.EntryBytes, "MSI-X table"));
    }

    private void AddStructure(VirtioPciCapability capability)
    {
        switch (capability.Type)
        {
            case VirtioPciCapabilityType.CommonConfiguration:
                Add(typeof(CommonConfigurationRegister), capability.Offset, CommonConfigurationRegister.Size, "common.");
                break;
            case VirtioPciCapabilityType.Notification:
                _areas.Add((capability.Offset, capability.Length, "notify"));
                break;
            case VirtioPciCapabilityType.InterruptStatus:
                _areas.Add((capability.Offset, capability.Length, "ISR status"));
                break;
            case VirtioPciCapabilityType.DeviceConfiguration:
                _areas.Add((capability.Offset, capability.Length, "device configuration"));
                break;
            default:
                break;
        }
    }

    /// <summary>All constants of a register map that lie in it, under the names that they have there.</summary>
    private void Add([DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields)] Type map, ulong start, int end, string prefix)
    {
        foreach (FieldInfo field in map.GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            if (field.GetRawConstantValue() is int offset && offset < end && !field.Name.EndsWith("Size", StringComparison.Ordinal) | field.Name == "QueueSize" | field.Name == "GuestPageSize")
                _names.TryAdd(start + (ulong)offset, prefix + Snake(field.Name));
        }
    }

    private static string Snake(string name)
    {
        var text = new StringBuilder();
        foreach (char letter in name)
            text.Append(char.IsUpper(letter) && text.Length > 0 ? "_" : "").Append(char.ToLowerInvariant(letter));
        return text.ToString();
    }
}

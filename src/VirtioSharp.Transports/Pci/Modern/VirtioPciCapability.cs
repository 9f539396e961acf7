using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>A virtio capability (§4.1.4) as it was read; every field is a claim.</summary>
internal readonly record struct VirtioPciCapability(
    int Position, int Bytes, VirtioPciCapabilityType Type, int Bar, byte Id, ulong Offset, ulong Length, uint Multiplier)
{
    /// <summary>All of a function's virtio capabilities, in the device's order, without those that §4.1.4.1 says to ignore.</summary>
    /// <param name="function">Whose.</param>
    /// <param name="ignored">Is told about those that cannot be read.</param>
    /// <exception cref="TransportException">The list itself is broken.</exception>
    public static List<VirtioPciCapability> ReadAll(IPciFunction function, List<string> ignored)
    {
        List<VirtioPciCapability> found = [];
        foreach (PciCapability capability in PciCapabilityWalk.Read(function))
            if (capability.Id == PciCapabilityId.Vendor && TryRead(function, capability.Position, ignored) is { } read)
                found.Add(read);
        return found;
    }

    /// <inheritdoc/>
    public override string ToString() => $"capability at 0x{Position:x2} ({Type})";

    private static VirtioPciCapability? TryRead(IPciFunction function, int position, List<string> ignored)
    {
        uint head = function.ReadConfiguration(position, 4);
        int bytes = (int)(head >> 16 & 0xFF);
        var type = (VirtioPciCapabilityType)(head >> 24);
        int needed = type switch
        {
            VirtioPciCapabilityType.CommonConfiguration or VirtioPciCapabilityType.InterruptStatus or VirtioPciCapabilityType.DeviceConfiguration => VirtioPciCapabilityLayout.PlainBytes,
            VirtioPciCapabilityType.Notification or VirtioPciCapabilityType.PciConfigurationAccess => VirtioPciCapabilityLayout.NotifyBytes,
            VirtioPciCapabilityType.SharedMemory => VirtioPciCapabilityLayout.SharedMemoryBytes,
            _ => 0, // reserved, or the vendor's own data
        };
        if (needed == 0)
            return null;
        if (bytes < needed || position + needed > PciConfigurationRegister.Size)
        {
            ignored.Add($"capability at 0x{position:x2} ({type}): cap_len = {bytes}, {needed} are needed");
            return null;
        }

        uint where = function.ReadConfiguration(position + VirtioPciCapabilityLayout.Bar, 4);
        int bar = (byte)where;
        if (bar > 5 && type != VirtioPciCapabilityType.PciConfigurationAccess) // there the driver writes it
            return null;
        ulong offset = function.ReadConfiguration(position + VirtioPciCapabilityLayout.Offset, 4);
        ulong length = function.ReadConfiguration(position + VirtioPciCapabilityLayout.AreaLength, 4);
        uint multiplier = 0;
        if (type == VirtioPciCapabilityType.SharedMemory)
        {
            offset |= (ulong)function.ReadConfiguration(position + VirtioPciCapabilityLayout.OffsetHigh, 4) << 32;
            length |= (ulong)function.ReadConfiguration(position + VirtioPciCapabilityLayout.AreaLengthHigh, 4) << 32;
        }
        else if (type == VirtioPciCapabilityType.Notification)
        {
            multiplier = function.ReadConfiguration(position + VirtioPciCapabilityLayout.NotifyMultiplier, 4);
        }

        return new(position, bytes, type, bar, (byte)(where >> 8), offset, length, multiplier);
    }
}

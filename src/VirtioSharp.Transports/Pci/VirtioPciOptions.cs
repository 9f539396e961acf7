using VirtioSharp.Core.Device;

namespace VirtioSharp.Transports.Pci;

/// <summary>Which register personalities a virtio function has.</summary>
public enum VirtioPciInterface
{
    /// <summary>Capabilities that point to structures in memory space (§4.1.4).</summary>
    Modern,
    /// <summary>The I/O BAR 0 of before the specification (§4.1.4.10), and nothing else.</summary>
    Legacy,
    /// <summary>Both.</summary>
    Transitional,
}

/// <summary>How a device is put behind a PCI function.</summary>
public sealed record VirtioPciOptions
{
    /// <summary>The register personalities.</summary>
    public VirtioPciInterface Interface { get; init; } = VirtioPciInterface.Modern;

    /// <summary>How it is hosted. Null: everything the rings can, and NOTIF_CONFIG_DATA. A legacy interface adds what legacy drivers are to be offered.</summary>
    public DeviceHostOptions? Host { get; init; }

    /// <summary>MSI-X vectors; 0: none, no capability. Null: one for each queue and one for the configuration.</summary>
    public int? Vectors { get; init; }

    /// <summary>Whether there is an INTx line.</summary>
    public bool HasLine { get; init; } = true;

    /// <summary>Bytes between the notification addresses of two queues: 0 (all the same) or a power of two, 4 at the least.</summary>
    public int NotifyMultiplier { get; init; } = 4;

    /// <summary>Shared memory regions (§2.10).</summary>
    public IReadOnlyList<PciSharedMemory> SharedMemory { get; init; } = [];

    /// <summary>Vendor data capabilities (§4.1.4.8).</summary>
    public IReadOnlyList<PciVendorData> VendorData { get; init; } = [];
}

/// <summary>A shared memory region.</summary>
/// <param name="Id">Its number in the device.</param>
/// <param name="Memory">Its bytes.</param>
public sealed record PciSharedMemory(byte Id, IRegisterWindow Memory);

/// <summary>The contents of a vendor data capability.</summary>
/// <param name="VendorId">Whose; never virtio's own.</param>
/// <param name="Data">Padded with zeros to a multiple of 4 bytes.</param>
public sealed record PciVendorData(ushort VendorId, ReadOnlyMemory<byte> Data);

using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Pci.Interrupts;

/// <summary>The registers of a virtio function that have to do with interrupts; each interface has them elsewhere.</summary>
internal interface IVectorRegisters
{
    /// <summary>Writes config_msix_vector.</summary>
    /// <returns>What it reads then: NO_VECTOR if the device could not (§4.1.5.1.2).</returns>
    ushort MapConfiguration(ushort vector);

    /// <summary>Writes queue_msix_vector.</summary>
    ushort MapQueue(int queue, ushort vector);

    /// <summary>Whether the device has such a queue: what else its size may be is not asked here.</summary>
    bool HasQueue(int queue);

    /// <summary>Reads the ISR status, which lowers the line.</summary>
    InterruptStatus ReadInterruptStatus();
}

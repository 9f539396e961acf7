namespace VirtioSharp.Spec.Split;

/// <summary>Where things lie in a legacy virtqueue: one contiguous piece, whose size the device dictates (§2.7.2).</summary>
/// <remarks>
/// <code>
///  0              16·N                  aligned (4096 with PCI, QueueAlign with MMIO)
///  +--------------+---------------+-----+---------------+
///  | descriptors  | driver area   | pad | device area   | pad
///  +--------------+---------------+-----+---------------+
/// </code>
/// </remarks>
/// <param name="DriverAreaOffset">Bytes from the start to the driver area.</param>
/// <param name="DeviceAreaOffset">Bytes from the start to the device area.</param>
/// <param name="Bytes">Bytes of the whole.</param>
public readonly record struct LegacyLayout(int DriverAreaOffset, int DeviceAreaOffset, int Bytes)
{
    /// <summary>The alignment of legacy PCI.</summary>
    public const int PciAlignment = 4096;

    /// <summary>The layout of a queue of <paramref name="size"/> entries.</summary>
    /// <param name="size">Entries, a power of two.</param>
    /// <param name="alignment">A power of two.</param>
    public static LegacyLayout Of(int size, int alignment = PciAlignment)
    {
        int driver = SplitLayout.DescriptorTableBytes(size);
        int device = Align(driver + SplitLayout.DriverAreaBytes(size), alignment);
        return new(driver, device, device + Align(SplitLayout.DeviceAreaBytes(size), alignment));
    }

    private static int Align(int value, int alignment) => (value + alignment - 1) & -alignment;
}

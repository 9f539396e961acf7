namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>Where our modern functions have their structures: a page each, in one BAR.</summary>
/// <remarks>
/// <code>
///  0x0000 common configuration   0x1000 ISR status   0x2000 device configuration   0x3000 notifications …
/// </code>
/// </remarks>
internal static class ModernLayout
{
    public const int CommonConfiguration = 0x0000;
    public const int InterruptStatus = 0x1000;
    public const int DeviceConfiguration = 0x2000;
    public const int Notifications = 0x3000;
    public const int PageBytes = 0x1000;

    /// <summary>The base address register.</summary>
    public const int Bar = 4;

    /// <summary>That of shared memory.</summary>
    public const int SharedMemoryBar = 2;
}

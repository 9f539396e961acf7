namespace VirtioSharp.Spec;

/// <summary>The device status field, one byte (§2.1).</summary>
/// <remarks>The driver sets bits in the order below and never clears one, save by writing 0 (reset).</remarks>
[Flags]
public enum DeviceStatus : byte
{
    /// <summary>Reset: nothing has been set up.</summary>
    Reset = 0,
    /// <summary>The guest has noticed the device.</summary>
    Acknowledge = 1,
    /// <summary>The guest has a driver for it.</summary>
    Driver = 2,
    /// <summary>The driver is set up; the device may use its queues.</summary>
    DriverOk = 4,
    /// <summary>Feature negotiation is complete.</summary>
    FeaturesOk = 8,
    /// <summary>The device is suspended (specification 1.4).</summary>
    Suspend = 16,
    /// <summary>Set by the device: it met an error it cannot recover from (§2.1.2).</summary>
    NeedsReset = 64,
    /// <summary>The driver has given up on the device.</summary>
    Failed = 128,
}

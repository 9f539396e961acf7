namespace VirtioSharp.Transports.Tracing;

/// <summary>Whose work a step of a <see cref="Walk"/> is.</summary>
public enum WalkSide
{
    /// <summary>The driver's.</summary>
    Driver,
    /// <summary>The transport's, on the driver's side: registers are written, interrupts taken.</summary>
    Transport,
    /// <summary>The device's, with its end of the transport.</summary>
    Device,
}

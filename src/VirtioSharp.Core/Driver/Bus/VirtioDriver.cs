namespace VirtioSharp.Core.Driver.Bus;

/// <summary>A driver as the bus knows it: which devices it is for, and how it takes one in hand. One object for all its devices.</summary>
public abstract class VirtioDriver
{
    /// <summary>Its name, for messages.</summary>
    public abstract string Name { get; }

    /// <summary>Its id table: it is for a device that any line matches.</summary>
    public abstract IReadOnlyList<DeviceMatch> Devices { get; }

    /// <summary>Its feature table, and the one for legacy devices.</summary>
    public virtual DriverFeatures Features { get; } = new();

    /// <summary>Takes a device in hand: enables queues, reads the configuration, and may call <see cref="DriverSession.Start"/>; otherwise the bus does.</summary>
    /// <param name="session">Negotiated up to FEATURES_OK. It belongs to the bus.</param>
    /// <returns>The device in this driver's hands.</returns>
    /// <remarks>Whatever it throws, the device is told FAILED and may be taken by another driver.</remarks>
    public abstract BoundDevice Probe(DriverSession session);
}

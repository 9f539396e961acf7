namespace VirtioSharp.Core.Device;

/// <summary>How a device reaches its driver; every transport has its own way (§2.3).</summary>
public interface IInterrupt
{
    /// <summary>Sends a used buffer notification for one queue. Called once per batch; it must not block or throw.</summary>
    void SignalUsed(int queue);

    /// <summary>Sends a configuration change notification. It must not block or throw.</summary>
    void SignalConfigurationChange();
}

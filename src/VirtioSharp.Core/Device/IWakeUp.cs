namespace VirtioSharp.Core.Device;

/// <summary>The alarm of the loop that a device host runs in.</summary>
public interface IWakeUp
{
    /// <summary>Calls <see cref="DeviceHost.Wake"/> after <paramref name="delay"/>, in place of any earlier request.</summary>
    void WakeAfter(TimeSpan delay);
}

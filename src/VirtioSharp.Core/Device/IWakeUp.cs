namespace VirtioSharp.Core.Device;

/// <summary>What a device host needs of the loop that it runs in.</summary>
public interface IWakeUp
{
    /// <summary>Calls <see cref="DeviceHost.Wake"/> after <paramref name="delay"/>, in place of any earlier request.</summary>
    void WakeAfter(TimeSpan delay);

    /// <summary>Calls <see cref="DeviceHost.Flush"/> soon, after the work at hand.</summary>
    void FlushSoon();
}

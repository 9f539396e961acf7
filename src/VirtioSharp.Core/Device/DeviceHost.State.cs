namespace VirtioSharp.Core.Device;

// What of a device goes along when it moves to another host.
public sealed partial class DeviceHost
{
    /// <summary>What another host needs, besides where queues stand and what a driver writes again, for its device to go on as this one (a
    /// migration). No queue should be enabled.</summary>
    public byte[] SaveState() => DeviceState.Save(_device);

    /// <summary>Takes over what <see cref="SaveState"/> of another host returned.</summary>
    /// <exception cref="FormatException">It cannot be: the message names the field. Nothing has changed then.</exception>
    public void LoadState(ReadOnlySpan<byte> state)
    {
        try
        {
            DeviceState.Load(_device, state);
        }
        catch (Exception failure) when (failure is not (FormatException or OutOfMemoryException))
        {
            EnterNeedsReset(-1, failure); // nobody knows what it has taken over
            throw new FormatException($"the device failed: {failure.Message}", failure);
        }
    }
}

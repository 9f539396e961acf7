using VirtioSharp.Spec;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>What the driver has written to configuration space since it reset its device: a back-end that was started again does not
/// know of it.</summary>
internal sealed class WrittenConfiguration
{
    private readonly List<Write> _writes = []; // in the driver's order, as some may overlap

    /// <summary>Tells the back-end, and remembers it unless that fails.</summary>
    /// <param name="write">What.</param>
    /// <param name="device">Tells what is an order, and must not be given twice.</param>
    /// <param name="tell">Its message may be lost; then the next back-end hears of it here.</param>
    public void Add(Write write, DeviceId device, Action<Write> tell)
    {
        if (device == DeviceId.Console && write.Offset == ConsoleConfiguration.EmergencyWriteOffset)
        {
            tell(write);
            return;
        }

        _writes.Add(write);
        try
        {
            tell(write);
        }
        catch
        {
            _writes.Remove(write); // what it would have replaced still holds
            throw;
        }

        _writes.RemoveAll(earlier => earlier != write && earlier.Offset == write.Offset && earlier.Bytes.Length == write.Bytes.Length);
    }

    /// <summary>Tells a back-end that has come back.</summary>
    public void TellAgain(FrontEndChannel channel)
    {
        foreach (Write write in _writes)
            ConfigurationSpace.Write(channel, write.Offset, write.Bytes);
    }

    /// <summary>The driver has reset its device.</summary>
    public void Clear() => _writes.Clear();

    internal sealed record Write(uint Offset, byte[] Bytes);
}

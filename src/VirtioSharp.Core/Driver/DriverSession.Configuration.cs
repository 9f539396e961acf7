using System.Runtime.InteropServices;
using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Driver;

// Device configuration space (§2.5).
public sealed partial class DriverSession
{
    /// <summary>Is raised by the thread that waits (<see cref="Wait(TimeSpan)"/>) when the device says that its configuration has
    /// changed. It may be raised in vain.</summary>
    public event EventHandler? ConfigurationChanged;

    /// <summary>Reads one field, all of it from one version of the configuration.</summary>
    /// <typeparam name="T">A number, or a struct whose fields say their order themselves (<c>Le32</c>).</typeparam>
    /// <param name="offset">Where it lies.</param>
    /// <exception cref="TransportException">The configuration never settles, or the device is gone.</exception>
    public T ReadConfiguration<T>(uint offset)
        where T : unmanaged => ReadConfiguration(configuration => configuration.Read<T>(offset));

    /// <summary>Reads fields that belong together, all from one version of the configuration, each with an access of its own.</summary>
    /// <param name="read">Reads them; called again when the configuration changes meanwhile.</param>
    /// <exception cref="TransportException">The configuration never settles, or the device is gone.</exception>
    public TResult ReadConfiguration<TResult>(Func<ConfigurationReader, TResult> read) => ConfigurationReader.Read(_transport, read);

    /// <summary>Writes one field. A number is given in the processor's order, a struct lies as it is.</summary>
    public void WriteConfiguration<T>(uint offset, T value)
        where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref value));
        ConfigurationOrder.Convert<T>(bytes, IsLegacy, BitConverter.IsLittleEndian);
        _transport.WriteConfiguration(offset, bytes);
    }
}

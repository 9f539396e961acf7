using System.Runtime.InteropServices;
using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Driver;

/// <summary>Reads fields of configuration space that belong together, all from the same version of it (§2.5.1).</summary>
/// <remarks>
/// What is read is good when the generation was the same before and after; otherwise it is all read again. A legacy interface
/// has no generation: there it is read until two reads in turn agree (§2.5.4).
/// Each field is one access of the transport, because some devices insist on a field's own width (§4.1.3.1, §4.2.2.2).
/// </remarks>
public sealed class ConfigurationReader
{
    /// <summary>Reads before a generation counts as one that never settles. A device changes its configuration a few times in its life.</summary>
    private const int MaxReads = 100;

    private readonly IDriverTransport _transport;
    private readonly List<byte> _bytes = []; // all that has been read, to be compared with the next time

    private ConfigurationReader(IDriverTransport transport) => _transport = transport;

    /// <summary>Whether a legacy interface shows the configuration, in native byte order for most devices (§2.5.3).</summary>
    public bool IsLegacy => _transport.LegacyAlignment != 0;

    /// <summary>Reads one field. A number comes out in the processor's order; a struct is taken as it lies.</summary>
    /// <typeparam name="T">A number, or a struct whose fields say their order themselves (<c>Le32</c>).</typeparam>
    public T Read<T>(uint offset)
        where T : unmanaged
    {
        T value = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref value));
        ReadBytes(offset, bytes);
        ConfigurationOrder.Convert<T>(bytes, IsLegacy, BitConverter.IsLittleEndian);
        return value;
    }

    /// <summary>Reads bytes, such as a MAC address.</summary>
    public void ReadBytes(uint offset, Span<byte> destination)
    {
        _transport.ReadConfiguration(offset, destination);
        _bytes.AddRange(destination);
    }

    /// <summary>Calls <paramref name="read"/> until what it has read is from one version.</summary>
    /// <exception cref="TransportException">It changes all the time.</exception>
    internal static TResult Read<TResult>(IDriverTransport transport, Func<ConfigurationReader, TResult> read)
    {
        ConfigurationReader? last = null;
        for (int reads = 0; reads < MaxReads; reads++)
        {
            var reader = new ConfigurationReader(transport);
            uint before = transport.ReadConfigurationGeneration();
            TResult result = read(reader);
            bool settled = reader.IsLegacy
                ? last is not null && reader._bytes.SequenceEqual(last._bytes)
                : transport.ReadConfigurationGeneration() == before;
            if (settled)
                return result;
            last = reader;
        }

        throw new TransportException(transport.LegacyAlignment == 0
            ? $"the configuration generation changed during each of {MaxReads} reads: it never settles"
            : $"the configuration was different at each of {MaxReads} reads: it never settles");
    }
}

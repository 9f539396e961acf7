using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;

namespace VirtioSharp.Drivers;

/// <summary>Reads several fields of configuration space as they were at one moment (§2.5.2).</summary>
internal static class Configuration
{
    public static void Read(IDriverTransport transport, Span<byte> destination)
    {
        for (int attempt = 0; attempt < 16; attempt++)
        {
            uint before = transport.ReadConfigurationGeneration();
            transport.ReadConfiguration(0, destination);
            if (transport.ReadConfigurationGeneration() == before)
                return;
        }

        throw new TransportException("the configuration generation never stands still");
    }
}

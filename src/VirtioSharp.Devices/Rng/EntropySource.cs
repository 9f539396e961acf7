using System.Security.Cryptography;

namespace VirtioSharp.Devices.Rng;

/// <summary>Fills the front of <paramref name="destination"/> with random bytes, without blocking.</summary>
/// <returns>How many: 0 when there are none now.</returns>
public delegate int EntropySource(Span<byte> destination);

/// <summary>Sources that need nothing but the runtime.</summary>
public static class EntropySources
{
    /// <summary>The runtime's cryptographic generator.</summary>
    public static int System(Span<byte> destination)
    {
        RandomNumberGenerator.Fill(destination);
        return destination.Length;
    }
}

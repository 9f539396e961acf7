using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Short ways to say what tests of rings say often.</summary>
internal static class Rings
{
    /// <summary>Adds a chain, as <see cref="DriverQueue.TryAdd"/> does it.</summary>
    public static bool TryAdd<TRing>(ref this TRing ring, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
        where TRing : struct, IDriverRing<TRing> => ring.TryAdd(readable, writable, out id);
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Devices.Rng;

/// <summary>The entropy device (§5.4): fills the driver's buffers with random bytes.</summary>
/// <param name="source">Where the bytes come from; the system's generator when null.</param>
/// <param name="limit">How many bytes in how long a time; as many as asked for when null.</param>
public sealed class RngDevice(EntropySource? source = null, RateLimit? limit = null) : VirtioDevice
{
    /// <summary>The most bytes one request gets; §5.4.6 lets the device write fewer than there is room for.</summary>
    public const int MaxBytesPerRequest = 64 * 1024; // a driver may offer gigabytes, and others wait

    /// <summary>When to look again at a source that had nothing.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(50);

    private readonly EntropySource _source = source ?? EntropySources.System;

    /// <inheritdoc/>
    public override DeviceTraits Traits { get; } =
        new(DeviceId.Entropy, Features.None, new QueueTraits("request", MaxSize: 1024));

    /// <inheritdoc/>
    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        int left = limit?.Available(Services.Time, MaxBytesPerRequest) ?? MaxBytesPerRequest;
        while (left > 0 && chain.TryNextWritable(out Span<byte> buffer))
        {
            int filled = _source(buffer[..Math.Min(buffer.Length, left)]);
            if (filled == 0)
                break;
            chain.Advance(filled);
            left -= filled;
        }

        // §5.4.6.2: a request gets one byte at the least. With none to give it waits in the ring, and the loop goes on.
        if (chain.Written == 0 && chain.WritableLeft > 0)
        {
            Services.WakeAfter(left == 0 ? limit!.UntilRefill(Services.Time) : Patience);
            chain.Postpone();
        }

        limit?.Take((int)chain.Written);
    }
}

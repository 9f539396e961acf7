using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>The statistics queue (§5.5.6.3): one buffer is always the device's. It asks for new statistics by using it.</summary>
/// <remarks>
/// §5.5.6.3.1 wants the buffer to be a multiple of 6 bytes long, although an entry has 10: no device checks that, and
/// Linux does not follow it either.
/// </remarks>
internal sealed class StatisticsChannel
{
    private readonly DriverQueue _queue;
    private readonly IReadOnlyList<BalloonStatisticSource> _sources;
    private readonly DmaBuffer _buffer;

    public StatisticsChannel(DriverQueue queue, DmaArena arena, IReadOnlyList<BalloonStatisticSource> sources)
    {
        (_queue, _sources) = (queue, sources);
        _buffer = arena.Allocate(sources.Count * BalloonStatistic.Size);
        Add();
    }

    /// <summary>Before DRIVER_OK the device must not be notified of the first buffer (§5.5.5).</summary>
    public void Start() => _queue.Kick();

    /// <summary>The device has been reset, and is live: it gets the buffer again.</summary>
    public void Restart()
    {
        Add();
        _queue.Kick();
    }

    /// <summary>Answers if the device has asked.</summary>
    /// <returns>Whether it had.</returns>
    public bool Serve()
    {
        if (!_queue.TryGet(out _, out _))
            return false;
        Restart();
        return true;
    }

    private void Add()
    {
        Span<byte> bytes = _buffer.Span;
        for (int i = 0; i < _sources.Count; i++)
            MemoryMarshal.Write(bytes[(i * BalloonStatistic.Size)..], new BalloonStatistic(_sources[i].Tag, _sources[i].Read()));
        _ = _queue.TryAdd([_buffer], [], out _); // there is always room for the only buffer
    }
}

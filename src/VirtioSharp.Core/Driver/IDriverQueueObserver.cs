using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Driver;

/// <summary>Watches what a driver does with its queues. For tracing: a transport that has none costs a test for null.</summary>
public interface IDriverQueueObserver
{
    /// <summary>The driver is about to do something with a queue.</summary>
    void Began(DriverQueue queue, DriverQueueOperation operation);

    /// <summary>It has added a chain: before <see cref="Ended"/> says so.</summary>
    /// <param name="queue">The queue.</param>
    /// <param name="id">The chain.</param>
    /// <param name="readable">What the device reads of it. The buffers outlast the call, the spans do not.</param>
    /// <param name="writable">Where it writes.</param>
    void Added(DriverQueue queue, ushort id, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
    }

    /// <summary>It has done it.</summary>
    /// <param name="queue">The queue.</param>
    /// <param name="operation">What it was.</param>
    /// <param name="id">The chain that was added or got; null when there was none, and for a kick.</param>
    /// <param name="length">Bytes that the device wrote into a chain that was got.</param>
    void Ended(DriverQueue queue, DriverQueueOperation operation, ushort? id, uint length);
}

/// <summary>What a driver does with a queue.</summary>
public enum DriverQueueOperation
{
    /// <summary>Adds a chain.</summary>
    Add,
    /// <summary>Shows the device what it added, and notifies it if that is wanted.</summary>
    Kick,
    /// <summary>Looks for a used chain.</summary>
    Get,
}

namespace VirtioSharp.Devices.Block;

/// <summary>Where a block device keeps its bytes: a file, memory, nothing.</summary>
/// <remarks>
/// All calls come on the thread of the device's host, and operations must be completed there. A back-end that finishes an
/// operation inside <see cref="Submit"/> completes it before it returns, and that is the cheap way; one that cannot keeps
/// the operation and completes it later, in any order. Nothing but the queue's number says which operations belong
/// together, so a back-end may have an engine for each queue.
/// </remarks>
public interface IBlockBackend : IDisposable
{
    /// <summary>What it can do. The same object at every call.</summary>
    BlockBackendTraits Traits { get; }

    /// <summary>Bytes there are, now. The device asks at its start and when it is told to look again.</summary>
    ulong Length { get; }

    /// <summary>Gives it another length, for back-ends whose length is theirs to choose.</summary>
    /// <param name="length">Bytes, whole blocks. What lies behind is lost; what is new reads zero.</param>
    /// <exception cref="NotSupportedException">It has the length that it has; the message says who can change it.</exception>
    /// <exception cref="IOException">It could not be done.</exception>
    void Resize(ulong length) => throw new NotSupportedException("a back-end of this kind has the length that it has");

    /// <summary>Does what <paramref name="operation"/> says, or begins it. Errors are told to the operation, not thrown.</summary>
    /// <param name="operation">Within <see cref="Length"/> and never empty, in whole sectors of 512 bytes; yours until it is completed.</param>
    void Submit(BlockOperation operation);

    /// <summary>Waits until nothing of this queue is under way: its memory goes away next.</summary>
    /// <param name="queue">The queue.</param>
    void Finish(int queue);

    /// <summary>As <see cref="Finish"/>, but what has not begun, or can be cancelled, is better given up (<see cref="BlockOperation.Abandon"/>):
    /// another device will do all of it.</summary>
    /// <param name="queue">The queue.</param>
    void Suspend(int queue) => Finish(queue);
}

/// <summary>What a back-end is and can do.</summary>
public sealed record BlockBackendTraits
{
    /// <summary>Whether writes are refused. They do not arrive then.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Whether <see cref="BlockOperationKind.Discard"/> is any use.</summary>
    public bool CanDiscard { get; init; }

    /// <summary>Whether zeroes may give storage back if the driver allows it.</summary>
    public bool CanUnmapZeroes { get; init; }

    /// <summary>Bytes that offsets and lengths are multiples of, a power of two. The device shows no smaller block, and a back-end
    /// refuses what a driver cuts smaller all the same.</summary>
    public int LogicalBlockSize { get; init; } = 512;

    /// <summary>Bytes that are best kept together, a power of two: smaller writes cost a read.</summary>
    public int PhysicalBlockSize { get; init; } = 512;
}

namespace VirtioSharp.Core.Queues;

/// <summary>Shared memory in which a queue notes what it has in flight, so that a device that dies can go on where it died.</summary>
/// <remarks>
/// The layout is vhost-user's ("Inflight I/O tracking"), <see cref="QueueRegionSplit"/> or <see cref="QueueRegionPacked"/>.
/// What an earlier life of the device wrote there may have been changed since: its lists are checked when a queue is enabled,
/// and a chain's descriptors when it is served, like those of the ring. A region of zeros is a new one.
/// </remarks>
public sealed class InflightRegion
{
    /// <summary>Regions of several queues lie one behind the other, each on cache lines of its own.</summary>
    private const int Alignment = 64;

    /// <summary>The part of one queue.</summary>
    /// <param name="address">Where it is mapped, aligned to 8.</param>
    /// <param name="descriptors">Entries it has room for; the queue may have fewer.</param>
    public InflightRegion(nint address, int descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(address & 7, 0);
        (Address, Descriptors) = (address, descriptors);
    }

    /// <summary>Where it is mapped.</summary>
    public nint Address { get; }

    /// <summary>Entries it has room for (<c>desc_num</c>).</summary>
    public int Descriptors { get; }

    /// <summary>Whether nobody has used it yet.</summary>
    public bool IsNew => Version == 0;

    private unsafe ref ushort Version => ref *(ushort*)(Address + QueueRegionSplit.VersionOffset);

    /// <summary>Called after every write to the region, and to a ring that is tracked in it: a test can let the device die there.</summary>
    internal Action? AfterWrite { get; init; }

    /// <summary>Bytes of one queue's region, up to where the next one starts.</summary>
    public static unsafe int BytesOf(int descriptors, bool packed)
    {
        int bytes = packed
            ? sizeof(QueueRegionPacked) + descriptors * sizeof(DescStatePacked)
            : sizeof(QueueRegionSplit) + descriptors * sizeof(DescStateSplit);
        return (bytes + Alignment - 1) & -Alignment;
    }

    /// <summary>Makes it new: nothing is in flight, and nothing is known of the ring.</summary>
    public void Clear() => Volatile.Write(ref Version, 0);
}

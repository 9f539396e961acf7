using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Transports;

/// <summary>Legacy interfaces name a ring by its first page: the areas follow from its size and alignment (§2.7.2).</summary>
internal static class LegacyRing
{
    /// <summary>Beyond any page; what a driver asks for more is a mistake, and its sums would not fit.</summary>
    private const uint MaxAlignment = 1 << 20;

    /// <summary>Where the areas of a ring are.</summary>
    /// <param name="start">Its first byte.</param>
    /// <param name="size">Entries, as the driver claims.</param>
    /// <param name="alignment">Of the device area, as the driver claims.</param>
    /// <exception cref="QueueException">There is no such ring.</exception>
    public static QueueLayout At(ulong start, uint size, uint alignment)
    {
        if (size > int.MaxValue || !SplitLayout.IsValidSize((int)size))
            throw new QueueException($"queue size = {size} is not a power of two in 1…{SplitLayout.MaxQueueSize}");
        if (!BitOperations.IsPow2(alignment) || alignment > MaxAlignment)
            throw new QueueException($"queue alignment = {alignment} is not a power of two in 1…{MaxAlignment}");
        var layout = LegacyLayout.Of((int)size, (int)alignment);
        if (start > ulong.MaxValue - (ulong)layout.Bytes)
            throw new QueueException($"queue at 0x{start:x} ends beyond 2^64");
        var first = new GuestAddress(start);
        return new QueueLayout((int)size, first, first.Plus((ulong)layout.DriverAreaOffset), first.Plus((ulong)layout.DeviceAreaOffset));
    }

    /// <summary>The page at which a driver's ring starts.</summary>
    /// <exception cref="QueueException">It is not in one piece, or a legacy device cannot be told where it is.</exception>
    public static uint PageOf(in QueueLayout layout, int pageSize, int alignment)
    {
        ulong start = layout.DescriptorArea.Value;
        if (layout != At(start, (uint)layout.Size, (uint)alignment))
            throw new QueueException($"queue at {layout.DescriptorArea} is not in one piece with the device area at a multiple of {alignment}");
        ulong page = start / (uint)pageSize;
        if (start % (uint)pageSize != 0 || page is 0 or > uint.MaxValue)
            throw new QueueException($"queue at {layout.DescriptorArea} does not start at one of the first 2^32 pages of {pageSize} bytes");
        return (uint)page;
    }
}

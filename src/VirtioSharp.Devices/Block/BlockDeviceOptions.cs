namespace VirtioSharp.Devices.Block;

/// <summary>How a block device shows itself.</summary>
public sealed record BlockDeviceOptions
{
    /// <summary>How many request queues it has.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Most entries of each queue.</summary>
    public int QueueSize { get; init; } = 1024;

    /// <summary>blk_size: bytes of a logical block, a power of two of 512 at the least. Sectors stay 512 bytes.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>Whether the driver may not write, even where the back-end could.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Whether writes are stable only after a flush, until the driver sets it otherwise (§5.2.5: writeback).</summary>
    public bool Writeback { get; init; } = true;

    /// <summary>What GET_ID tells: up to 20 ASCII characters.</summary>
    public string Serial { get; init; } = "";

    /// <summary>seg_max: most data segments of a request. 126 fit, with header and status, into a queue of 128, the smallest that is common.</summary>
    public int MaxSegments { get; init; } = 126;

    /// <summary>size_max: most bytes of a segment; 0 is no limit.</summary>
    public int MaxSegmentBytes { get; init; }
}

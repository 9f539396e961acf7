using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Balloon;

/// <summary>Numbers of the memory balloon (§5.5).</summary>
public static class BalloonLayout
{
    /// <summary>Bytes of a page, whatever the guest's pages are.</summary>
    public const int PageBytes = 4096;
    /// <summary>The queue that pages go in by (§5.5.2).</summary>
    public const int InflateQueue = 0;
    /// <summary>The queue that pages come back by.</summary>
    public const int DeflateQueue = 1;
    /// <summary>The statistics queue.</summary>
    public const int StatisticsQueue = 2;
    /// <summary>The queue for hints on free pages.</summary>
    public const int FreePageQueue = 3;
    /// <summary>The queue for reports of free pages.</summary>
    public const int ReportingQueue = 4;
    /// <summary>Command id: stop hinting, but keep what was hinted (§5.5.6.5).</summary>
    public const uint CommandStop = 0;
    /// <summary>Command id: hinting is over, what was hinted may be used.</summary>
    public const uint CommandDone = 1;
    /// <summary>The first command id that asks for hints.</summary>
    public const uint FirstCommand = 2;
}

/// <summary>Configuration space of the memory balloon, <c>struct virtio_balloon_config</c>, 16 bytes (§5.5.4). Little-endian over the legacy interface, too.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BalloonConfiguration
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;
    /// <summary>Where num_pages lies.</summary>
    public const int TargetOffset = 0;
    /// <summary>Where actual lies; the driver writes it.</summary>
    public const int ActualOffset = 4;
    /// <summary>Where free_page_hint_cmd_id lies.</summary>
    public const int CommandOffset = 8;
    /// <summary>Where poison_val lies; the driver writes it.</summary>
    public const int PoisonOffset = 12;

    /// <summary>Pages that the device wants in the balloon.</summary>
    public Le32 TargetPages { get; init; }
    /// <summary>Pages that are in it.</summary>
    public Le32 ActualPages { get; init; }
    /// <summary>FREE_PAGE_HINT: the command in force.</summary>
    public Le32 FreePageHintCommand { get; init; }
    /// <summary>PAGE_POISON: what the driver writes to free pages.</summary>
    public Le32 Poison { get; init; }
}

/// <summary>An entry of the statistics buffer, <c>tag:16 value:64</c>, 10 bytes (§5.5.6.3).</summary>
/// <param name="tag">What it counts.</param>
/// <param name="value">How much.</param>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BalloonStatistic(BalloonStatisticTag tag, ulong value)
{
    /// <summary>Bytes.</summary>
    public const int Size = 10;

    private readonly Le16 _tag = (ushort)tag;
    private readonly Le64 _value = value;

    /// <summary>What it counts.</summary>
    public BalloonStatisticTag Tag => (BalloonStatisticTag)(ushort)_tag;

    /// <summary>How much.</summary>
    public ulong Value => _value;
}

/// <summary>What a statistic counts (§5.5.6.4).</summary>
public enum BalloonStatisticTag : ushort
{
    /// <summary>Bytes swapped in.</summary>
    SwapIn = 0,
    /// <summary>Bytes swapped out.</summary>
    SwapOut = 1,
    /// <summary>Major page faults.</summary>
    MajorFaults = 2,
    /// <summary>Minor page faults.</summary>
    MinorFaults = 3,
    /// <summary>Bytes that are not used at all.</summary>
    FreeMemory = 4,
    /// <summary>Bytes in all.</summary>
    TotalMemory = 5,
    /// <summary>Bytes that new programs can have without swapping.</summary>
    AvailableMemory = 6,
    /// <summary>Bytes that can be had back at once, such as caches of files.</summary>
    Caches = 7,
    /// <summary>Huge pages that were allocated.</summary>
    HugePageAllocations = 8,
    /// <summary>Huge pages that could not be.</summary>
    HugePageFailures = 9,
}

using VirtioSharp.Measure;

namespace VirtioSharp.Bench.Blk;

/// <summary>What is asked of each disk.</summary>
/// <param name="Kind">As fio calls it.</param>
/// <param name="KiB">How long a request is.</param>
/// <param name="Depth">How many are in flight in each queue.</param>
/// <param name="Queues">In how many queues.</param>
internal sealed record BlkWorkload(string Kind, int KiB, int Depth, int Queues)
{
    public static BlkWorkload[] All { get; } =
    [
        .. from queues in (int[])[1, 2]
           from workload in (BlkWorkload[])[new("randread", 4, 1, queues), new("randread", 4, 32, queues), new("randwrite", 4, 1, queues), new("randwrite", 4, 32, queues), new("read", 128, 8, queues)]
           select workload,
    ];

    public BlockLoadOptions Options => new()
    {
        ReadPercent = Kind == "randwrite" ? 0 : 100,
        IsRandom = Kind != "read",
        BlockBytes = KiB << 10,
        Depth = Depth,
        Queues = Queues,
    };

    public override string ToString() => $"{Kind} {KiB}k {Queues}x{Depth}";
}

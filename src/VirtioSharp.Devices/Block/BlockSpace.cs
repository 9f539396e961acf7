using System.Numerics;
using System.Text;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Devices.Block;

/// <summary>What a block device shows of itself: features, configuration space and id string.</summary>
internal static class BlockSpace
{
    /// <summary>4 GiB: storage is given back in no time.</summary>
    private const uint MaxDiscardSectors = 1 << 23;

    /// <summary>64 MiB, as somebody may have to write them; a driver cuts what is longer, and others have a turn in between.</summary>
    private const uint MaxZeroSectors = 1 << 17;

    public static FeatureSet FeaturesOf(IBlockBackend backend, BlockDeviceOptions options)
    {
        FeatureSet features = BlockFeatures.SegMax | BlockFeatures.BlockSize | BlockFeatures.Topology | BlockFeatures.Flush | BlockFeatures.ConfigWriteback;
        if (options.MaxSegmentBytes > 0)
            features |= BlockFeatures.SizeMax;
        if (options.QueueCount > 1)
            features |= BlockFeatures.MultiQueue;
        if (options.IsReadOnly || backend.Traits.IsReadOnly)
            return features | BlockFeatures.ReadOnly;
        features |= BlockFeatures.WriteZeroes;
        return backend.Traits.CanDiscard ? features | BlockFeatures.Discard : features;
    }

    public static BlockConfiguration Of(IBlockBackend backend, BlockDeviceOptions options)
    {
        int physical = Math.Max(backend.Traits.PhysicalBlockSize, options.BlockSize);
        return new BlockConfiguration
        {
            Capacity = CapacityOf(backend, options.BlockSize),
            SizeMax = (uint)options.MaxSegmentBytes,
            SegMax = (uint)options.MaxSegments,
            BlockSize = (uint)options.BlockSize,
            Topology = new BlockTopology
            {
                PhysicalBlockExponent = (byte)BitOperations.Log2((uint)(physical / options.BlockSize)),
                MinIoSize = (ushort)Math.Min(physical / options.BlockSize, ushort.MaxValue),
            },
            Writeback = options.Writeback ? (byte)1 : (byte)0,
            QueueCount = (ushort)options.QueueCount,
            MaxDiscardSectors = MaxDiscardSectors,
            MaxDiscardSegments = BlockOperation.MaxRanges,
            DiscardSectorAlignment = (uint)physical / BlockLayout.SectorBytes,
            MaxWriteZeroesSectors = MaxZeroSectors,
            MaxWriteZeroesSegments = BlockOperation.MaxRanges,
            WriteZeroesMayUnmap = backend.Traits.CanUnmapZeroes ? (byte)1 : (byte)0,
        };
    }

    /// <summary>Whole blocks only: the rest of a last one could not be written.</summary>
    public static ulong CapacityOf(IBlockBackend backend, int blockSize)
    {
        ulong length = Math.Min(backend.Length, long.MaxValue);
        return (length - length % (ulong)blockSize) / BlockLayout.SectorBytes;
    }

    public static void WriteId(string serial, Span<byte> id)
    {
        if (serial.Length > id.Length || !Ascii.IsValid(serial) || serial.Contains('\0', StringComparison.Ordinal))
            throw new ArgumentException($"serial '{serial}': up to {id.Length} ASCII characters have room");
        Encoding.ASCII.GetBytes(serial, id);
    }

    public static void Check(BlockDeviceOptions options)
    {
        if (options.BlockSize is < BlockLayout.SectorBytes or > (1 << 20) || !BitOperations.IsPow2(options.BlockSize))
            throw new ArgumentException($"block size {options.BlockSize}: give a power of two from {BlockLayout.SectorBytes} to {1 << 20}");
        if (options.QueueCount is < 1 or > ushort.MaxValue)
            throw new ArgumentException($"{options.QueueCount} queues: a block device has 1 to {ushort.MaxValue}");
        if (options.MaxSegments < 1 || options.MaxSegmentBytes is < 0 or (> 0 and < BlockLayout.SectorBytes))
            throw new ArgumentException($"{options.MaxSegments} segments of {options.MaxSegmentBytes} bytes leave no room for a sector");
    }
}

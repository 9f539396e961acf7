using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using Offset = VirtioSharp.Spec.Block.BlockConfigurationOffset;

namespace VirtioSharp.Drivers.Block;

/// <summary>Reads the configuration that the negotiated features make valid; a device with fewer features may have no more (§5.2.4).</summary>
internal static class BlockSpace
{
    public static BlockConfiguration Read(ConfigurationReader space, FeatureSet features)
    {
        return new BlockConfiguration
        {
            Capacity = space.Read<ulong>(Offset.Capacity),
            SizeMax = Word(BlockFeatures.SizeMax, Offset.SizeMax),
            SegMax = Word(BlockFeatures.SegMax, Offset.SegMax),
            Geometry = features.Has(BlockFeatures.Geometry) ? Geometry(space) : default,
            BlockSize = Word(BlockFeatures.BlockSize, Offset.BlockSize),
            Topology = features.Has(BlockFeatures.Topology) ? Topology(space) : default,
            QueueCount = features.Has(BlockFeatures.MultiQueue) ? space.Read<ushort>(Offset.QueueCount) : (ushort)1,
            MaxDiscardSectors = Word(BlockFeatures.Discard, Offset.MaxDiscardSectors),
            DiscardSectorAlignment = Word(BlockFeatures.Discard, Offset.DiscardSectorAlignment),
            MaxWriteZeroesSectors = Word(BlockFeatures.WriteZeroes, Offset.MaxWriteZeroesSectors),
            WriteZeroesMayUnmap = features.Has(BlockFeatures.WriteZeroes) ? space.Read<byte>(Offset.WriteZeroesMayUnmap) : (byte)0,
        };

        uint Word(FeatureSet feature, uint offset) => features.Has(feature) ? space.Read<uint>(offset) : 0;
    }

    private static BlockGeometry Geometry(ConfigurationReader space) => new()
    {
        Cylinders = space.Read<ushort>(Offset.Geometry),
        Heads = space.Read<byte>(Offset.Geometry + 2),
        Sectors = space.Read<byte>(Offset.Geometry + 3),
    };

    private static BlockTopology Topology(ConfigurationReader space) => new()
    {
        PhysicalBlockExponent = space.Read<byte>(Offset.Topology),
        AlignmentOffset = space.Read<byte>(Offset.Topology + 1),
        MinIoSize = space.Read<ushort>(Offset.Topology + 2),
        OptimalIoSize = space.Read<uint>(Offset.Topology + 4),
    };
}

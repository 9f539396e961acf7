using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

/// <summary>What a block device says of itself, as far as the negotiated features let it (§5.2.4), made usable: nothing in it is 0 that must not be.</summary>
public sealed record BlockProperties
{
    private const int MaxDataSegments = 128; // more would cost descriptors for nothing: segments are as long as the device lets them be
    private const int MaxBytes = 1 << 30;

    /// <summary>Reads what there is.</summary>
    /// <param name="features">What was negotiated.</param>
    /// <param name="space">Configuration space; the rest of it is 0.</param>
    /// <param name="queueSize">Entries of the smallest queue: §2.7.5 allows no longer chain.</param>
    /// <exception cref="TransportException">No request is possible with what it says.</exception>
    internal BlockProperties(FeatureSet features, in BlockConfiguration space, int queueSize)
    {
        IsReadOnly = features.Has(BlockFeatures.ReadOnly);
        CanFlush = features.Has(BlockFeatures.Flush);
        CanSetWriteback = features.Has(BlockFeatures.ConfigWriteback);
        BlockSize = features.Has(BlockFeatures.BlockSize) && IsBlockSize(space.BlockSize) ? (int)(uint)space.BlockSize : BlockLayout.SectorBytes;
        Topology = features.Has(BlockFeatures.Topology) ? space.Topology : null;
        Geometry = features.Has(BlockFeatures.Geometry) ? space.Geometry : null;
        // qemu-storage-daemon offers SIZE_MAX and says 0, by which it means none, as Linux understands it.
        bool isLimited = features.Has(BlockFeatures.SizeMax) && space.SizeMax != 0;
        MaxSegmentBytes = isLimited ? (int)Math.Min(space.SizeMax, (uint)MaxBytes) : MaxBytes;
        int segments = features.Has(BlockFeatures.SegMax) ? (int)Math.Clamp(space.SegMax, 1u, MaxDataSegments) : MaxDataSegments;
        MaxSegments = Math.Min(segments, queueSize - 2); // header and status take one each
        long bytes = (long)MaxSegmentBytes * MaxSegments;
        MaxRequestBytes = (int)Math.Min(bytes, MaxBytes) & -BlockLayout.SectorBytes;
        if (MaxRequestBytes <= 0)
            throw new TransportException($"size_max = {space.SizeMax}, seg_max = {space.SegMax} and a queue of {queueSize} leave no room for a sector");
        if (features.Has(BlockFeatures.Discard))
            (MaxDiscardSectors, DiscardAlignment) = (space.MaxDiscardSectors, Math.Max(space.DiscardSectorAlignment, 1u));
        if (features.Has(BlockFeatures.WriteZeroes))
            (MaxWriteZeroesSectors, ZeroesMayUnmap) = (space.MaxWriteZeroesSectors, space.WriteZeroesMayUnmap != 0);
    }

    /// <summary>Whether writes fail.</summary>
    public bool IsReadOnly { get; }

    /// <summary>Whether there is a FLUSH. If not, the cache may be taken for a writethrough one (§5.2.5.1).</summary>
    public bool CanFlush { get; }

    /// <summary>Whether the cache can be switched.</summary>
    public bool CanSetWriteback { get; }

    /// <summary>The best size of a block in bytes, a power of two. Sectors stay 512 bytes.</summary>
    public int BlockSize { get; }

    /// <summary>Best alignment, if the device says it.</summary>
    public BlockTopology? Topology { get; }

    /// <summary>Geometry, if the device says it.</summary>
    public BlockGeometry? Geometry { get; }

    /// <summary>Most bytes of one segment.</summary>
    public int MaxSegmentBytes { get; }

    /// <summary>Most segments of one request.</summary>
    public int MaxSegments { get; }

    /// <summary>Most bytes of one request, a multiple of 512.</summary>
    public int MaxRequestBytes { get; }

    /// <summary>Most sectors of one DISCARD; 0 if there is none.</summary>
    public uint MaxDiscardSectors { get; }

    /// <summary>Sectors that a DISCARD which is cut is best cut at.</summary>
    public uint DiscardAlignment { get; } = 1;

    /// <summary>Most sectors of one WRITE_ZEROES; 0 if there is none.</summary>
    public uint MaxWriteZeroesSectors { get; }

    /// <summary>Whether zeroes can deallocate sectors.</summary>
    public bool ZeroesMayUnmap { get; }

    /// <summary>Refuses what must not be asked of this device (§5.2.6.1).</summary>
    /// <exception cref="NotSupportedException">The device has no such request.</exception>
    /// <exception cref="ArgumentOutOfRangeException">It is too long, ends beyond the device, or is no multiple of a sector.</exception>
    internal void Check(in BlockRequest request, ulong capacity)
    {
        uint least = 1, most;
        switch (request.Type)
        {
            case BlockRequestType.In:
            case BlockRequestType.Out when !IsReadOnly:
                most = (uint)MaxRequestBytes / BlockLayout.SectorBytes;
                break;
            case BlockRequestType.Discard when !IsReadOnly && MaxDiscardSectors > 0:
                most = MaxDiscardSectors;
                break;
            case BlockRequestType.WriteZeroes when !IsReadOnly && MaxWriteZeroesSectors > 0:
                most = MaxWriteZeroesSectors;
                break;
            case BlockRequestType.Flush when CanFlush:
            case BlockRequestType.GetId:
                least = most = 0;
                break;
            default:
                throw new NotSupportedException($"the device offers no {request.Type}{(IsReadOnly ? ": it is read-only" : "")}");
        }

        if (request.Type == BlockRequestType.GetId ? request.Data.Length != BlockLayout.IdBytes : request.Data.Length % BlockLayout.SectorBytes != 0)
            throw new ArgumentOutOfRangeException(nameof(request), $"{request.Type} with {request.Data.Length} bytes of data");
        if (request.Sectors < least || request.Sectors > most)
            throw new ArgumentOutOfRangeException(nameof(request), $"{request.Type} of {request.Sectors} sectors: a request has {least} to {most}");
        CheckRange(request.Type, request.Sector, request.Sectors, capacity);
    }

    /// <summary>Refuses what ends beyond the device; in this form it cannot overflow.</summary>
    internal static void CheckRange(BlockRequestType type, ulong sector, ulong sectors, ulong capacity)
    {
        if (sectors > capacity || sector > capacity - sectors)
            throw new ArgumentOutOfRangeException(nameof(sector), $"{type} of {sectors} sectors at {sector} ends beyond the device's {capacity}");
    }

    private static bool IsBlockSize(uint bytes) => bytes is >= BlockLayout.SectorBytes and <= MaxBytes && BitOperations.IsPow2(bytes);
}

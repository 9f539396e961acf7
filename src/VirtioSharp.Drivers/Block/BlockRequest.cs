using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

/// <summary>One request to a block device, as it goes over the ring (§5.2.6). Made by the methods below.</summary>
public readonly record struct BlockRequest
{
    private BlockRequest(BlockRequestType type, ulong sector, ulong sectors, DmaBuffer data, bool mayUnmap = false) =>
        (Type, Sector, Sectors, Data, MayUnmap) = (type, sector, sectors, data, mayUnmap);

    /// <summary>What it asks for.</summary>
    public BlockRequestType Type { get; }

    /// <summary>The first sector of 512 bytes; 0 if it has no place.</summary>
    public ulong Sector { get; }

    /// <summary>How many sectors it is about; 0 if none.</summary>
    public ulong Sectors { get; }

    /// <summary>What is written, or where to put what is read. Not to be touched while the request is in flight.</summary>
    public DmaBuffer Data { get; }

    /// <summary>Whether zeroes may deallocate the sectors.</summary>
    public bool MayUnmap { get; }

    /// <summary>Whether the device writes to <see cref="Data"/>.</summary>
    internal bool DeviceWrites => Type is BlockRequestType.In or BlockRequestType.GetId;

    /// <summary>Whether it says its place in a range and not in its header.</summary>
    internal bool HasRange => Type is BlockRequestType.Discard or BlockRequestType.WriteZeroes;

    /// <summary>Reads sectors into <paramref name="data"/>, a multiple of 512 bytes.</summary>
    public static BlockRequest Read(ulong sector, DmaBuffer data) => new(BlockRequestType.In, sector, SectorsOf(data), data);

    /// <summary>Writes <paramref name="data"/>, a multiple of 512 bytes.</summary>
    public static BlockRequest Write(ulong sector, DmaBuffer data) => new(BlockRequestType.Out, sector, SectorsOf(data), data);

    /// <summary>Makes all completed writes stable.</summary>
    public static BlockRequest Flush() => new(BlockRequestType.Flush, 0, 0, default);

    /// <summary>Says that sectors are not needed any more. What they read afterwards is anything.</summary>
    public static BlockRequest Discard(ulong sector, uint sectors) => new(BlockRequestType.Discard, sector, sectors, default);

    /// <summary>Makes sectors read zero, and lets the device deallocate them if <paramref name="mayUnmap"/>.</summary>
    public static BlockRequest WriteZeroes(ulong sector, uint sectors, bool mayUnmap = false) =>
        new(BlockRequestType.WriteZeroes, sector, sectors, default, mayUnmap);

    /// <summary>Fetches the device's id string into <paramref name="data"/>, 20 bytes.</summary>
    public static BlockRequest GetId(DmaBuffer data) => new(BlockRequestType.GetId, 0, 0, data);

    // A length that is no multiple is refused before it gets to a device.
    private static ulong SectorsOf(DmaBuffer data) => ((ulong)data.Length + BlockLayout.SectorBytes - 1) / BlockLayout.SectorBytes;
}

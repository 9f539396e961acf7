using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A small address space with random regions, kept byte by byte: slow, and too simple to be wrong.</summary>
internal sealed class AddressModel
{
    public const int Bytes = 512;

    private readonly nint[] _host = new nint[Bytes];
    private readonly int[] _region = new int[Bytes];

    public AddressModel(Random random)
    {
        var regions = new List<MemoryRegion>();
        for (int at = random.Next(32); at < Bytes; at += random.Next(3) == 0 ? random.Next(32) : 0)
        {
            int length = Math.Min(random.Next(1, 96), Bytes - at);
            nint host = 0x10_0000 * (regions.Count + 1); // neighbours for the guest are far apart here
            regions.Add(new MemoryRegion(new GuestAddress((ulong)at), (ulong)length, host));
            for (int i = 0; i < length; i++)
                (_host[at + i], _region[at + i]) = (host + i, regions.Count);
            at += length;
        }

        random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(regions));
        Map = MemoryMap.Create(regions);
    }

    public MemoryMap Map { get; }

    /// <summary>Where the range is, or 0 when it is not all in one region.</summary>
    public nint HostOf(ulong address, uint length)
    {
        for (ulong at = address; at < address + length; at++)
            if (at >= Bytes || _host[at] == 0 || _region[at] != _region[address])
                return 0;
        return _host[address];
    }
}

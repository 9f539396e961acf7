using VirtioSharp.Core.Memory;
using VirtioSharp.Fuzz.Engine;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A guest's memory with all the corners there are: neighbours that are no neighbours here, both ends of the address space, four gigabytes.</summary>
/// <remarks>
/// <code>
///  0 ├ page ┤   4 GiB ├ main, 4 pages ┼ neighbour, 1 page ┤   64 GiB ├ huge, 4 GiB ┤   … ├ top, 1 page ┤ 2^64
/// </code>
/// Guard pages around each.
/// </remarks>
internal sealed class GuestMap
{
    public const ulong Main = 0x1_0000_0000;
    public const ulong MainLength = 0x4000;
    public const ulong Neighbour = Main + MainLength;
    public const ulong NeighbourLength = 0x1000;
    public const ulong Huge = 0x10_0000_0000;
    public const ulong HugeLength = 1UL << 32;
    public const ulong Top = ulong.MaxValue - 0xFFF;

    /// <summary>Bit n: whether region n is there.</summary>
    public const int Everything = 31;

    private static readonly ulong[] Starts = [Main, Neighbour, 0, Top, Huge];

    private readonly GuardedMemory[] _memories = [new(MainLength), new(NeighbourLength), new(0x1000), new(0x1000), new(HugeLength)];
    private readonly MemoryMap[] _maps;
    private bool _hugeIsTouched;

    public GuestMap() => _maps = [.. Enumerable.Range(0, Everything + 1).Select(MapOf)];

    public MemoryMap this[int regions] => _maps[regions];

    public void Clear()
    {
        foreach (GuardedMemory memory in _memories.AsSpan(0, 4))
            memory.Bytes.Clear();
        if (_hugeIsTouched)
            _memories[4].Drop();
        _hugeIsTouched = false;
    }

    /// <summary>Bytes of the guest, or an empty span when not all of them are in one region.</summary>
    public unsafe Span<byte> At(ulong address, int length)
    {
        for (int i = 0; i < _memories.Length; i++)
        {
            ulong offset = address - Starts[i];
            if (offset >= _memories[i].Length || (ulong)length > _memories[i].Length - offset)
                continue;
            _hugeIsTouched |= i == 4;
            return new Span<byte>((byte*)_memories[i].Start + offset, length);
        }

        return default;
    }

    /// <summary>The guest's address of bytes that a device was given: they must be in one of <paramref name="regions"/>.</summary>
    public unsafe ulong AddressOf(ReadOnlySpan<byte> bytes, int regions)
    {
        fixed (byte* start = bytes)
        {
            for (int i = 0; i < _memories.Length; i++)
            {
                ulong offset = (ulong)start - (ulong)_memories[i].Start;
                if ((regions >> i & 1) == 0 || offset >= _memories[i].Length || (ulong)bytes.Length > _memories[i].Length - offset)
                    continue;
                _hugeIsTouched |= i == 4;
                return Starts[i] + offset;
            }
        }

        throw new FindingException($"the device was given {bytes.Length} bytes that are not in guest memory");
    }

    private MemoryMap MapOf(int regions) => MemoryMap.Create(
        Enumerable.Range(0, Starts.Length)
            .Where(i => (regions >> i & 1) != 0)
            .Select(i => new MemoryRegion(new GuestAddress(Starts[i]), _memories[i].Length, _memories[i].Start)));
}

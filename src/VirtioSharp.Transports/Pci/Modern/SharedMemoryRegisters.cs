namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>The BAR of the shared memory regions, one behind the other in whole pages.</summary>
internal sealed class SharedMemoryRegisters : IRegisterWindow
{
    private readonly (ulong Start, IRegisterWindow Memory)[] _regions;

    public SharedMemoryRegisters(IReadOnlyList<PciSharedMemory> regions)
    {
        _regions = new (ulong, IRegisterWindow)[regions.Count];
        for (int i = 0; i < regions.Count; i++)
        {
            _regions[i] = (Length, regions[i].Memory);
            Length += (regions[i].Memory.Length + ModernLayout.PageBytes - 1) & ~(ModernLayout.PageBytes - 1ul);
        }
    }

    public ulong Length { get; }

    public ulong StartOf(int region) => _regions[region].Start;

    public uint Read(ulong offset, int width) => Find(ref offset, width) is { } memory ? memory.Read(offset, width) : 0;

    public void Write(ulong offset, int width, uint value) => Find(ref offset, width)?.Write(offset, width, value);

    private IRegisterWindow? Find(ref ulong offset, int width)
    {
        foreach ((ulong start, IRegisterWindow memory) in _regions)
        {
            if (offset < start || !RegisterAccess.IsInside(offset - start, width, memory.Length))
                continue;
            offset -= start;
            return memory;
        }

        return null;
    }
}

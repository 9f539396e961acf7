using System.Runtime.InteropServices;

namespace VirtioSharp.Core.Memory;

/// <summary>Memory that a driver shares with its device: rings and buffers are cut from it, front to back.</summary>
/// <remarks>There is no free: a driver cuts what it needs at its start, and the arena goes when the machine does. Only a bus takes back what a driver that goes had cut.</remarks>
public sealed unsafe class DmaArena : IDisposable
{
    private readonly MemoryRegion _region;
    private readonly IDisposable? _owner;
    private readonly List<(ulong From, ulong To)> _holes = []; // taken back, but something lies after them
    private ulong _used;

    /// <summary>Hands out memory that somebody else mapped.</summary>
    /// <param name="region">The memory, at the address under which the device knows it.</param>
    /// <param name="owner">Disposed with the arena.</param>
    public DmaArena(MemoryRegion region, IDisposable? owner = null) => (_region, _owner) = (region, owner);

    /// <summary>The memory, as the device sees it.</summary>
    public MemoryRegion Region => _region;

    /// <summary>An arena in this process's own memory, zeroed.</summary>
    /// <param name="start">The address under which the device will know it, a multiple of 4096.</param>
    /// <param name="length">Bytes.</param>
    public static DmaArena CreateLocal(GuestAddress start, int length)
    {
        var memory = new LocalMemory(length);
        return new DmaArena(new MemoryRegion(start, (ulong)length, memory.Address), memory);
    }

    /// <summary>Cuts a zeroed buffer.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="alignment">A power of two.</param>
    /// <exception cref="InsufficientMemoryException">The arena is used up.</exception>
    public DmaBuffer Allocate(int length, int alignment = 64)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        ulong mask = (ulong)alignment - 1;
        ulong offset = ((_region.Start.Value + _used + mask) & ~mask) - _region.Start.Value;
        if (offset > _region.Length || (ulong)length > _region.Length - offset)
            throw new InsufficientMemoryException($"the driver's arena of {_region.Length} bytes has no room for {length} more");
        _used = offset + (ulong)length;
        return new DmaBuffer(_region.Start.Plus(offset), _region.Host + (nint)offset, length);
    }

    /// <summary>The bytes at an address, to look at: a ring that is drawn, say.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They are not all in the arena.</exception>
    public ReadOnlySpan<byte> Look(GuestAddress at, int length)
    {
        ulong offset = at.Value - _region.Start.Value; // an address below the start wraps, and is beyond the end
        if (offset > _region.Length || (ulong)length > _region.Length - offset)
            throw new ArgumentOutOfRangeException(nameof(at), $"{at}, {length} bytes, is not in the driver's arena");
        return new((void*)(_region.Host + (nint)offset), length);
    }

    /// <summary>How far it is cut.</summary>
    internal ulong Mark => _used;

    /// <summary>What was cut between two marks, as an arena of its own, zeroed: who cuts the same from it gets the same places.</summary>
    internal DmaArena Again(ulong from, ulong to)
    {
        Clear(from, to);
        return new DmaArena(new MemoryRegion(_region.Start.Plus(from), to - from, _region.Host + (nint)from));
    }

    /// <summary>Takes back what was cut between two marks. The device must have been reset: it still knows the addresses.</summary>
    /// <remarks>The devices of a PCI bus share an arena: what others cut afterwards stays, and the room is used again when that has gone, too.</remarks>
    internal void TakeBack(ulong from, ulong to)
    {
        Clear(from, to);
        _holes.Add((from, to));
        for (int last; (last = _holes.FindIndex(hole => hole.To == _used)) >= 0; _holes.RemoveAt(last))
            _used = _holes[last].From;
    }

    /// <inheritdoc/>
    public void Dispose() => _owner?.Dispose();

    private void Clear(ulong from, ulong to) => NativeMemory.Clear((void*)(_region.Host + (nint)from), (nuint)(to - from));

    private sealed class LocalMemory : IDisposable
    {
        public LocalMemory(int length)
        {
            Address = (nint)NativeMemory.AlignedAlloc((nuint)length, 4096);
            NativeMemory.Clear((void*)Address, (nuint)length);
        }

        ~LocalMemory() => Free();

        public nint Address { get; private set; }

        public void Dispose()
        {
            Free();
            GC.SuppressFinalize(this);
        }

        private void Free()
        {
            NativeMemory.AlignedFree((void*)Address);
            Address = 0;
        }
    }
}

using System.Runtime.CompilerServices;

namespace VirtioSharp.Core.Memory;

/// <summary>The one place where a guest address becomes a pointer: checked against the map, never beyond a region.</summary>
/// <remarks>
/// A struct that every queue holds a copy of, with the region that was hit last beside it: most guests keep their
/// buffers in one region, and then a translation is two compares. The slow path searches the map.
/// </remarks>
public unsafe struct GuestMemory(MemoryMap map)
{
    private readonly MemoryMap _map = map;
    private ulong _start;
    private ulong _length;
    private byte* _host;

    /// <summary>Finds <paramref name="length"/> bytes at <paramref name="address"/>, which must lie in one region.</summary>
    /// <returns>False when any of the bytes is not mapped, or the range crosses into another region.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTranslate(ulong address, uint length, out byte* host)
    {
        ulong offset = address - _start; // wraps below the region, and is then larger than any length
        if (offset < _length && length <= _length - offset)
        {
            host = _host + offset;
            return true;
        }

        return TryTranslateElsewhere(address, length, out host);
    }

    /// <summary>Finds the bytes at <paramref name="address"/> up to <paramref name="length"/> or the region's end.</summary>
    /// <returns>How many bytes lie there in one piece: 0 when the address is not mapped.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal uint TranslatePiece(ulong address, uint length, out byte* host)
    {
        if (!Aim(address))
        {
            host = null;
            return 0;
        }

        ulong offset = address - _start;
        host = _host + offset;
        return (uint)Math.Min(length, _length - offset);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryTranslateElsewhere(ulong address, uint length, out byte* host)
    {
        if (Aim(address))
        {
            ulong offset = address - _start;
            host = _host + offset;
            return length <= _length - offset;
        }

        host = null;
        return false;
    }

    private bool Aim(ulong address)
    {
        if (!_map.TryFind(address, out MemoryRegion region))
            return false;
        _start = region.Start.Value;
        _length = region.Length;
        _host = (byte*)region.Host;
        return true;
    }
}

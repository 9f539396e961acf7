namespace VirtioSharp.Core.Memory;

/// <summary>Notes which pages of guest memory a device has written, while somebody copies the machine (live migration).</summary>
/// <remarks>
/// One bit a page of 4 KiB, from guest address 0 on, shared with whoever copies: it clears a bit and then copies the page.
/// So a bit is set after the page was written, and by an atomic instruction, also when it is set already.
/// </remarks>
public sealed unsafe class DirtyLog
{
    private const int PageShift = 12;

    private readonly uint* _bits;
    private readonly Action? _changed;
    private readonly MemoryRegion[] _byHost; // sorted by where they lie here
    private int _hit;
    private bool _isChanged;

    /// <summary>A log over <paramref name="memory"/>.</summary>
    /// <param name="bits">Where it is mapped, aligned to 8, while the device may write.</param>
    /// <param name="bytes">How long it is.</param>
    /// <param name="memory">What the device writes to, by guest-physical address.</param>
    /// <param name="changed">Called when pages were noted, once per batch.</param>
    public DirtyLog(nint bits, ulong bytes, MemoryMap memory, Action? changed = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentOutOfRangeException.ThrowIfNotEqual(bits & 7, 0);
        _bits = (uint*)bits;
        _changed = changed;
        End = bytes > ulong.MaxValue >> PageShift + 3 ? ulong.MaxValue : bytes << PageShift + 3;
        _byHost = [.. memory.Regions];
        Array.Sort(_byHost, static (one, other) => one.Host.CompareTo(other.Host));
    }

    /// <summary>The first guest address that it has no bit for.</summary>
    public ulong End { get; }

    /// <summary>Notes bytes that were written, by where they lie here.</summary>
    internal void Mark(byte* host, ulong length)
    {
        if (length == 0 || _byHost.Length == 0)
            return;
        ref readonly MemoryRegion region = ref Find((nint)host);
        ulong offset = (ulong)((nint)host - region.Host);
        if (offset < region.Length) // what is not guest memory is nobody's to copy
            MarkGuest(region.Start.Value + offset, Math.Min(length, region.Length - offset));
    }

    /// <summary>Notes bytes that were written, by guest address. What lies beyond the log is not noted.</summary>
    internal void MarkGuest(ulong address, ulong length)
    {
        if (length == 0 || address >= End)
            return;
        ulong last = Math.Min(length - 1, End - 1 - address) + address >> PageShift;
        for (ulong page = address >> PageShift; page <= last; page++)
            Interlocked.Or(ref *(_bits + page / 32), 1u << (int)(page % 32)); // little-endian, so these are the bits of the bytes
        _isChanged = true;
    }

    /// <summary>A batch is over.</summary>
    internal void EndBatch()
    {
        if (_isChanged)
            _changed?.Invoke();
        _isChanged = false;
    }

    /// <summary>The last region that starts at or before a place; perhaps the place is behind its end.</summary>
    private ref readonly MemoryRegion Find(nint host)
    {
        ref readonly MemoryRegion hit = ref _byHost[_hit];
        if (host >= hit.Host && (ulong)(host - hit.Host) < hit.Length)
            return ref hit;
        int low = 0;
        for (int high = _byHost.Length; high - low > 1;)
        {
            int middle = (low + high) / 2;
            if (_byHost[middle].Host <= host)
                low = middle;
            else
                high = middle;
        }

        return ref _byHost[_hit = low];
    }
}

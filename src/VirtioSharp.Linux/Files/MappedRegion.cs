using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A range of a file, or of fresh memory, mapped into this process (mmap(2)) until disposed.</summary>
/// <remarks>
/// There is no finalizer, on purpose: rings and memory maps keep bare pointers into the region, and the collector
/// would unmap it under them as soon as nobody held this object. Forgetting to dispose leaks; the other way corrupts.
/// </remarks>
public sealed unsafe class MappedRegion : IDisposable
{
    private readonly nuint _mappedLength, _page;
    private nint _mapped;
    private int _watched = -1;

    private MappedRegion(nint mapped, nuint mappedLength, nuint page, nuint skip, ulong length)
    {
        (_mapped, _mappedLength, _page) = (mapped, mappedLength, page);
        Address = mapped + (nint)skip;
        Length = length;
    }

    /// <summary>Where the first byte asked for lies in this process.</summary>
    public nint Address { get; }

    /// <summary>Bytes asked for.</summary>
    public ulong Length { get; }

    /// <summary>How often memory of any <see cref="Watch">watched</see> region was gone when it was touched. A look at it costs nothing.</summary>
    public static ulong LossCount => LostMemory.Count;

    /// <summary>Whether memory of this region was gone when it was touched: somebody cut its file short. Since then zeroes are there, which nobody shares.</summary>
    public bool HasLost => _watched >= 0 && LostMemory.IsLost(_watched);

    /// <summary>Maps a range of a file, shared with everybody who maps that file.</summary>
    /// <param name="fd">The file; the mapping outlives the descriptor.</param>
    /// <param name="offset">Where the range starts in the file, in bytes; need not be a multiple of a page.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="writable">False for a mapping that faults on writing; a descriptor opened read-only allows no other.</param>
    /// <exception cref="LinuxException">ENXIO: a regular file does not have that range (touching what lies past the end
    /// would raise SIGBUS); EINVAL: empty range; EACCES: opened for another use; ENODEV: this kind of file has no memory;
    /// ENOMEM.</exception>
    public static MappedRegion Map(FileDescriptor fd, ulong offset, ulong length, bool writable = true)
    {
        FileFacts facts = FileFacts.Of(fd);
        if (length == 0)
            throw new LinuxException(Errno.EINVAL, $"mmap {fd}", "the range is empty");
        if (facts.IsRegular && (offset > facts.Size || length > facts.Size - offset))
        {
            throw new LinuxException(Errno.ENXIO, $"mmap {fd}",
                $"the range of {length} bytes at {offset} is not within the file's {facts.Size} bytes");
        }

        // Files of devices have no size to check against, but no sum may wrap.
        ulong page = PageSizeOf(fd);
        if (offset > long.MaxValue - page || length > long.MaxValue - page - offset)
            throw new LinuxException(Errno.ENXIO, $"mmap {fd}", $"the range of {length} bytes at {offset} is beyond any file");

        ulong start = offset & ~(page - 1);
        nuint mappedLength = (nuint)(((offset + length + page - 1) & ~(page - 1)) - start);
        int protection = SysMman.PROT_READ | (writable ? SysMman.PROT_WRITE : 0);

        // NORESERVE: a peer with sparse memory (virtio-mem) has not reserved its huge pages; neither may we, for it.
        nint mapped = SysMman.mmap(
            0, mappedLength, protection, SysMman.MAP_SHARED | SysMman.MAP_NORESERVE, fd, (long)start);
        if (mapped == SysMman.MAP_FAILED)
            LinuxException.ThrowLast("mmap", fd);
        return new MappedRegion(mapped, mappedLength, (nuint)page, (nuint)(offset - start), length);
    }

    /// <summary>Maps zeroed memory that belongs to this process alone.</summary>
    /// <param name="length">Bytes, at least 1. Pages are allocated when they are touched.</param>
    /// <exception cref="LinuxException">EINVAL: empty; ENOMEM.</exception>
    public static MappedRegion Anonymous(ulong length)
    {
        const int Flags = SysMman.MAP_PRIVATE | SysMman.MAP_ANONYMOUS | SysMman.MAP_NORESERVE;
        nint mapped = SysMman.mmap(0, (nuint)length, SysMman.PROT_READ | SysMman.PROT_WRITE, Flags, -1, 0);
        if (mapped == SysMman.MAP_FAILED)
            LinuxException.ThrowLast("mmap anonymous");
        return new MappedRegion(mapped, (nuint)length, (nuint)Environment.SystemPageSize, 0, length);
    }

    /// <summary>Maps shared memory that is mapped in several places once more, one behind the other.</summary>
    /// <param name="pieces">Where they start, and their bytes. They meet at boundaries of pages.</param>
    /// <exception cref="LinuxException">EINVAL: they do not, or are not shared; ENOMEM.</exception>
    public static MappedRegion Join(ReadOnlySpan<(nint Address, ulong Length)> pieces)
    {
        nuint page = (nuint)Environment.SystemPageSize, total = 0;
        ulong length = 0;
        for (int i = 0; i < pieces.Length; i++)
        {
            (nint address, ulong bytes) = pieces[i];
            if ((i > 0 && (nuint)address % page != 0) || (i < pieces.Length - 1 && ((nuint)address + (nuint)bytes) % page != 0))
                throw new LinuxException(Errno.EINVAL, "mremap", $"piece {i} of {pieces.Length} does not meet its neighbours at the boundary of a page");
            total += PagesOf(address, bytes, page);
            length += bytes;
        }

        nint mapped = SysMman.mmap(0, total, SysMman.PROT_NONE, SysMman.MAP_PRIVATE | SysMman.MAP_ANONYMOUS | SysMman.MAP_NORESERVE, -1, 0);
        if (mapped == SysMman.MAP_FAILED)
            LinuxException.ThrowLast("mmap anonymous");
        var joined = new MappedRegion(mapped, total, page, (nuint)pieces[0].Address % page, length);
        try
        {
            nint at = mapped;
            foreach ((nint address, ulong bytes) in pieces)
            {
                nuint size = PagesOf(address, bytes, page);
                if (SysMman.mremap(address - (nint)((nuint)address % page), 0, size, SysMman.MREMAP_MAYMOVE | SysMman.MREMAP_FIXED, at) == SysMman.MAP_FAILED)
                    LinuxException.ThrowLast("mremap");
                at += (nint)size;
            }

            return joined;
        }
        catch
        {
            joined.Dispose();
            throw;
        }
    }

    private static nuint PagesOf(nint address, ulong bytes, nuint page) => ((nuint)address % page + (nuint)bytes + page - 1) & ~(page - 1);

    /// <summary>A part of the region as a span, which must not be used after the region is disposed.</summary>
    /// <param name="offset">Bytes from <see cref="Address"/>.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie within the region.</exception>
    public Span<byte> Slice(ulong offset, int length)
    {
        ObjectDisposedException.ThrowIf(_mapped == 0, this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)length, Length - offset);
        return new Span<byte>((byte*)Address + offset, length);
    }

    /// <summary>
    /// From now on this process survives it when somebody cuts the file short (SIGBUS), and <see cref="HasLost"/> tells of it. For memory of a
    /// peer that cannot be sealed.
    /// </summary>
    /// <returns>False when that cannot be had here: it is for x86-64, and for some thousand regions.</returns>
    public bool Watch()
    {
        if (_watched < 0 && _mapped != 0)
            _watched = LostMemory.Watch(_mapped, _mapped + (nint)((_mappedLength + _page - 1) & ~(_page - 1)), _page);
        return _watched >= 0;
    }

    /// <summary>Unmaps the region. Whoever still uses a pointer into it from now on corrupts memory or dies.</summary>
    public void Dispose()
    {
        nint mapped = Interlocked.Exchange(ref _mapped, 0);
        if (mapped == 0)
            return;
        if (_watched >= 0)
            LostMemory.Forget(_watched);
        _watched = -1;
        _ = SysMman.munmap(mapped, _mappedLength); // fails for ranges that were never mapped only
    }

    // mmap and munmap take multiples of the huge page on hugetlbfs, which shows as its block size (fstatfs(2)).
    private static ulong PageSizeOf(FileDescriptor fd)
    {
        SysStatfs.Statfs facts;
        if (SysStatfs.fstatfs(fd, &facts) == 0 && (uint)facts.Type == SysStatfs.HUGETLBFS_MAGIC)
            return (ulong)facts.BlockSize;
        return (ulong)Environment.SystemPageSize;
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Block;

/// <summary>Reads and writes a file in any pieces: what the file takes goes straight, the rest by way of a buffer of our own.</summary>
/// <remarks>
/// Past the page cache (O_DIRECT) the drive's alignment is ours to keep, and drivers may ask for single sectors at odd
/// addresses. A write that begins or ends inside a block reads the block first; one thread, so nothing comes between.
/// </remarks>
internal sealed unsafe class BlockFile : IDisposable
{
    /// <summary>How much goes through the buffer at a time. A multiple of every alignment that there is.</summary>
    private const int BufferBytes = 1 << 20;

    private readonly StorageFile _file;
    private readonly nint _offsetMask, _memoryMask;
    private nint _buffer; // none if the file takes everything

    /// <summary>For a file that outlives this.</summary>
    public BlockFile(StorageFile file)
    {
        (_file, _offsetMask, _memoryMask) = (file, file.OffsetAlignment - 1, file.MemoryAlignment - 1);
        if (file.Mode.Direct)
            _buffer = (nint)NativeMemory.AlignedAlloc(BufferBytes, (nuint)Math.Max(file.MemoryAlignment, file.OffsetAlignment));
    }

    /// <summary>Whether the file takes these as they are.</summary>
    public bool Takes(ReadOnlySpan<IoVector> buffers, long offset)
    {
        if (_buffer == 0)
            return true;
        nint odd = (nint)offset & _offsetMask;
        foreach (IoVector buffer in buffers)
            odd |= (buffer.Address & _memoryMask) | (buffer.Length & _offsetMask);
        return odd == 0;
    }

    /// <inheritdoc cref="StorageFile.Read"/>
    public Errno Read(Span<IoVector> buffers, long offset)
    {
        if (Takes(buffers, offset))
            return _file.Read(buffers, offset);
        for (long end = offset + Sum(buffers); offset < end;)
        {
            Window window = WindowAt(offset, end);
            Errno errno = Fill(window);
            if (errno != Errno.None)
                return errno;
            for (Span<byte> rest = Bytes(window); rest.Length > 0;)
            {
                Span<byte> piece = Next(ref buffers, rest.Length);
                rest[..piece.Length].CopyTo(piece);
                rest = rest[piece.Length..];
            }

            offset += window.Length;
        }

        return Errno.None;
    }

    /// <inheritdoc cref="StorageFile.Write"/>
    public Errno Write(Span<IoVector> buffers, long offset, bool stable)
    {
        if (Takes(buffers, offset))
            return _file.Write(buffers, offset, stable);
        for (long end = offset + Sum(buffers); offset < end;)
        {
            Window window = WindowAt(offset, end);
            Errno errno = window.IsWhole ? Errno.None : Fill(window);
            if (errno != Errno.None)
                return errno;
            for (Span<byte> rest = Bytes(window); rest.Length > 0;)
            {
                Span<byte> piece = Next(ref buffers, rest.Length);
                piece.CopyTo(rest);
                rest = rest[piece.Length..];
            }

            errno = _file.Write([new IoVector(_buffer, window.BlockBytes)], window.Block, stable);
            if (errno != Errno.None)
                return errno;
            offset += window.Length;
        }

        return Errno.None;
    }

    /// <summary>Frees the buffer.</summary>
    public void Dispose()
    {
        NativeMemory.AlignedFree((void*)_buffer);
        _buffer = 0;
    }

    private Errno Fill(Window window) => _file.Read([new IoVector(_buffer, window.BlockBytes)], window.Block);

    private Span<byte> Bytes(Window window) => new((byte*)_buffer + window.Skip, window.Length);

    private Window WindowAt(long offset, long end)
    {
        int skip = (int)(offset & _offsetMask);
        int length = (int)Math.Min(end - offset, BufferBytes - skip);
        return new Window(offset - skip, skip, length, (int)((skip + length + _offsetMask) & ~_offsetMask));
    }

    /// <summary>Takes up to <paramref name="most"/> bytes from the front of the buffers.</summary>
    private static Span<byte> Next(ref Span<IoVector> buffers, int most)
    {
        IoVector first = buffers[0];
        int length = (int)Math.Min(first.Length, most);
        buffers[0] = first.Skip(length);
        if (buffers[0].Length == 0)
            buffers = buffers[1..];
        return new((void*)first.Address, length);
    }

    private static long Sum(ReadOnlySpan<IoVector> buffers)
    {
        long sum = 0;
        foreach (IoVector buffer in buffers)
            sum += buffer.Length;
        return sum;
    }

    /// <summary>Whole blocks around a range.</summary>
    /// <param name="Block">Where they begin.</param>
    /// <param name="Skip">Bytes before the range.</param>
    /// <param name="Length">Bytes of the range.</param>
    /// <param name="BlockBytes">Bytes of the blocks.</param>
    private readonly record struct Window(long Block, int Skip, int Length, int BlockBytes)
    {
        public bool IsWhole => Length == BlockBytes;
    }
}

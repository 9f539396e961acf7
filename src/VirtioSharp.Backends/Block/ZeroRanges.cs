using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Block;

/// <summary>Zeroes for a range of a file, by the cheapest way that the file has; what it has not is tried once.</summary>
internal sealed class ZeroRanges(StorageFile file, BlockFile pieces)
{
    private const int ChunkBytes = 1 << 20;

    private byte[]? _zeroes; // pinned
    private bool _cannotPunch, _cannotZero;

    /// <summary>Gives storage back if that is possible; a discard promises nothing.</summary>
    public Errno Discard(long offset, long length) =>
        TryPunch(offset, length) is var errno and not Errno.EOPNOTSUPP ? errno : Errno.None;

    /// <summary>Makes the range read zero.</summary>
    public Errno Write(long offset, long length, bool mayUnmap)
    {
        Errno errno = mayUnmap ? TryPunch(offset, length) : Errno.EOPNOTSUPP;
        if (errno == Errno.EOPNOTSUPP)
            errno = TryZero(offset, length);
        return errno == Errno.EOPNOTSUPP ? WriteZeroes(offset, length) : errno;
    }

    private Errno TryPunch(long offset, long length) =>
        _cannotPunch ? Errno.EOPNOTSUPP : Refusal(file.PunchHole(offset, length), ref _cannotPunch);

    private Errno TryZero(long offset, long length) =>
        _cannotZero ? Errno.EOPNOTSUPP : Refusal(file.ZeroRange(offset, length), ref _cannotZero);

    /// <summary>A block device does not take parts of its blocks (EINVAL): not this range then, but the next.</summary>
    private static Errno Refusal(Errno errno, ref bool always)
    {
        always |= errno == Errno.EOPNOTSUPP;
        return errno == Errno.EINVAL ? Errno.EOPNOTSUPP : errno;
    }

    private Errno WriteZeroes(long offset, long length)
    {
        _zeroes ??= GC.AllocateArray<byte>(ChunkBytes, pinned: true);
        nint address = Marshal.UnsafeAddrOfPinnedArrayElement(_zeroes, 0);
        for (long end = offset + length; offset < end;)
        {
            long piece = Math.Min(end - offset, ChunkBytes);
            Errno errno = pieces.Write([new IoVector(address, (nint)piece)], offset, stable: false);
            if (errno != Errno.None)
                return errno;
            offset += piece;
        }

        return Errno.None;
    }
}

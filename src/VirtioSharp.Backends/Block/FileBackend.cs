using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Block;

/// <summary>Keeps the bytes in a file or block device as they are (raw), with system calls that wait for it.</summary>
/// <remarks>
/// The contents are never looked at: a format that is guessed is a format that the guest can write.
/// The calls read and write the driver's memory itself.
/// </remarks>
public sealed class FileBackend : IBlockBackend
{
    private readonly StorageFile _file;
    private readonly ILogger _log;
    private readonly HashSet<(BlockOperationKind, Errno)> _told = [];
    private readonly BlockFile _pieces;
    private readonly ZeroRanges _zeroes;
    private ulong _length;
    private Errno _lost;

    /// <summary>Takes an open file; it is closed with this.</summary>
    /// <param name="file">The file.</param>
    /// <param name="log">Is told of errors, once of each kind.</param>
    /// <exception cref="ArgumentException">It is opened for direct access, and its length is not.</exception>
    public FileBackend(StorageFile file, ILogger? log = null)
    {
        if (file.Length % (ulong)file.OffsetAlignment != 0)
            throw new ArgumentException($"{file.Length} bytes past the page cache: the file system wants a multiple of {file.OffsetAlignment}", nameof(file));
        (_file, _log) = (file, log ?? NullLogger.Instance);
        _pieces = new BlockFile(file);
        _zeroes = new ZeroRanges(file, _pieces);
        bool isWritable = file.Mode.Writable;
        Traits = new BlockBackendTraits
        {
            IsReadOnly = !isWritable,
            CanDiscard = isWritable,
            CanUnmapZeroes = isWritable,
            PhysicalBlockSize = Math.Max(4096, file.OffsetAlignment), // a page of the cache, and what disks have
        };
    }

    /// <inheritdoc/>
    public BlockBackendTraits Traits { get; }

    /// <inheritdoc/>
    public ulong Length
    {
        get
        {
            try
            {
                _length = _file.Length;
                _length -= _length % (ulong)_file.OffsetAlignment; // it may have grown to a length that can only be read in part
            }
            catch (LinuxException refused)
            {
                _log.LengthUnknown(refused.Message); // a device that is gone; reads and writes will say so, too
            }

            return _length;
        }
    }

    /// <inheritdoc/>
    public void Resize(ulong length)
    {
        if (!_file.Mode.Writable)
            throw new NotSupportedException("the file is open for reading only");
        if (_file.Kind != FileKind.Regular)
            throw new NotSupportedException("a block device is resized by its own tools; afterwards ask for a resize without a size");
        _file.SetLength(length);
    }

    /// <inheritdoc/>
    public void Submit(BlockOperation operation) => Complete(operation, Do(operation));

    /// <inheritdoc/>
    public void Finish(int queue)
    {
        // Nothing is under way outside of Submit.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _file.Dispose();
        _pieces.Dispose();
    }

    /// <summary>Whether the file takes an operation's buffers as they are.</summary>
    internal bool Takes(BlockOperation operation) => _pieces.Takes(MemoryMarshal.Cast<IoBuffer, IoVector>(operation.Buffers), operation.Offset);

    /// <summary>Completes an operation, and says why if it failed.</summary>
    internal void Complete(BlockOperation operation, Errno errno)
    {
        if (errno != Errno.None)
        {
            Tell(operation, errno);
            if (operation is { MustBeStable: true, Kind: BlockOperationKind.Write })
                Lose(errno, "a write that was to be stable"); // it may have been told what a flush should have been
        }

        operation.Complete(StatusOf(errno));
    }

    internal static BlockStatus StatusOf(Errno errno) => errno == Errno.None ? BlockStatus.Ok : BlockStatus.IoError;

    /// <summary>Whether a flush has failed, or a write that was one for itself, after which none succeeds.</summary>
    internal bool HasLost => _lost != Errno.None;

    /// <summary>
    /// What to answer to a flush that ended so. The kernel tells once that it could not write its page cache back, and drops
    /// what it had: the next flush would succeed without it, so a failure is final.
    /// </summary>
    internal Errno Flushed(Errno errno)
    {
        if (errno != Errno.None)
            Lose(errno, "fdatasync");
        return HasLost ? _lost : errno;
    }

    /// <summary>Does what is left of an operation, and waits for it.</summary>
    /// <param name="operation">Which.</param>
    /// <param name="buffer">Its first buffer that is not done.</param>
    /// <param name="offset">Where that goes.</param>
    internal Errno DoRest(BlockOperation operation, int buffer, long offset)
    {
        Span<IoVector> rest = MemoryMarshal.Cast<IoBuffer, IoVector>(operation.Buffers)[buffer..];
        return operation.Kind switch
        {
            BlockOperationKind.Read => _pieces.Read(rest, offset),
            BlockOperationKind.Write => _pieces.Write(rest, offset, operation.MustBeStable),
            _ => Flush(),
        };
    }

    private void Lose(Errno errno, string by)
    {
        if (HasLost || _file.Mode.Direct)
            return;
        _lost = errno;
        _log.WritesLost(new LinuxException(errno, by).Message);
    }

    private Errno Flush() => HasLost ? _lost : Flushed(_file.Flush());

    private Errno Do(BlockOperation operation)
    {
        switch (operation.Kind)
        {
            case BlockOperationKind.Discard:
                return _zeroes.Discard(operation.Offset, operation.Length);
            case BlockOperationKind.WriteZeroes:
                Errno errno = _zeroes.Write(operation.Offset, operation.Length, operation.MayUnmap);
                return errno == Errno.None && operation.MustBeStable ? Flush() : errno;
            default:
                return DoRest(operation, 0, operation.Offset);
        }
    }

    /// <summary>Says why an operation failed, once for each kind.</summary>
    internal void Tell(BlockOperation operation, Errno errno)
    {
        if (!_told.Add((operation.Kind, errno)))
            return;
        string reason = errno == Errno.ENODATA ? "the file has become shorter" : new LinuxException(errno, "the system says").Message;
        _log.OperationFailed(operation.Kind, operation.Length, operation.Offset, reason);
    }
}

using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
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
    private readonly ZeroRanges _zeroes;

    /// <summary>Takes an open file; it is closed with this.</summary>
    /// <param name="file">The file.</param>
    /// <param name="isReadOnly">Whether it was opened for reading only.</param>
    /// <param name="log">Is told of errors, once of each kind.</param>
    public FileBackend(StorageFile file, bool isReadOnly, ILogger? log = null)
    {
        (_file, _log) = (file, log ?? NullLogger.Instance);
        _zeroes = new ZeroRanges(file);
        Traits = new BlockBackendTraits
        {
            IsReadOnly = isReadOnly,
            CanDiscard = !isReadOnly,
            CanUnmapZeroes = !isReadOnly,
            PhysicalBlockSize = 4096, // a page of the cache, and what disks have
        };
    }

    /// <inheritdoc/>
    public BlockBackendTraits Traits { get; }

    /// <inheritdoc/>
    public ulong Length => _file.Length;

    /// <inheritdoc/>
    public void Submit(BlockOperation operation)
    {
        Errno errno = Do(operation);
        if (errno != Errno.None)
            Tell(operation, errno);
        operation.Complete(errno == Errno.None ? BlockStatus.Ok : BlockStatus.IoError);
    }

    /// <inheritdoc/>
    public void Finish(int queue)
    {
        // Nothing is under way outside of Submit.
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private Errno Do(BlockOperation operation)
    {
        Span<IoVector> buffers = MemoryMarshal.Cast<BlockBuffer, IoVector>(operation.Buffers);
        switch (operation.Kind)
        {
            case BlockOperationKind.Read:
                return _file.Read(buffers, operation.Offset);
            case BlockOperationKind.Write:
                return _file.Write(buffers, operation.Offset, operation.MustBeStable);
            case BlockOperationKind.Flush:
                return _file.Flush();
            case BlockOperationKind.Discard:
                return _zeroes.Discard(operation.Offset, operation.Length);
            default:
                Errno errno = _zeroes.Write(operation.Offset, operation.Length, operation.MayUnmap);
                return errno == Errno.None && operation.MustBeStable ? _file.Flush() : errno;
        }
    }

    private void Tell(BlockOperation operation, Errno errno)
    {
        if (_told.Add((operation.Kind, errno)))
            _log.OperationFailed(operation.Kind, operation.Length, operation.Offset, new LinuxException(errno, "the file").Message);
    }
}

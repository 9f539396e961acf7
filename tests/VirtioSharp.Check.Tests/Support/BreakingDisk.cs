using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Check.Tests.Support;

/// <summary>A disk in memory that takes one write and then fails its session: nothing is answered until the front-end has left.</summary>
/// <param name="bytes">The disk.</param>
/// <param name="heals">Whether the next session is served again; otherwise its writes fail.</param>
internal sealed class BreakingDisk(byte[] bytes, bool heals) : IBlockBackend
{
    private readonly List<BlockOperation> _held = [];
    private bool _hasBroken, _isBroken;

    public BlockBackendTraits Traits { get; } = new();

    public ulong Length => (ulong)bytes.Length;

    public void Submit(BlockOperation operation)
    {
        if (_isBroken)
        {
            _held.Add(operation);
            return;
        }

        bool writes = operation.Kind == BlockOperationKind.Write;
        if (writes && _hasBroken && !heals)
        {
            operation.Complete(BlockStatus.IoError);
            return;
        }

        Span<byte> range = bytes.AsSpan((int)operation.Offset, (int)operation.Length);
        foreach (IoBuffer buffer in operation.Buffers)
        {
            Span<byte> piece = range[..buffer.Bytes.Length];
            if (writes)
                buffer.Bytes.CopyTo(piece);
            else
                piece.CopyTo(buffer.Bytes);
            range = range[piece.Length..];
        }

        if (writes && !_hasBroken)
            _hasBroken = _isBroken = true;
        operation.Complete(BlockStatus.Ok);
    }

    /// <summary>What was held is not done.</summary>
    public void Finish(int queue)
    {
        _held.ForEach(operation => operation.Complete(BlockStatus.IoError));
        _held.Clear();
        _isBroken = false;
    }

    public void Dispose()
    {
    }
}

using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Block;

/// <summary>Keeps the bytes in this process, as long as it lives: a RAM disk.</summary>
/// <param name="bytes">The disk, all of it; shared with the caller.</param>
public sealed class MemoryBackend(byte[] bytes) : IBlockBackend
{
    /// <inheritdoc/>
    public BlockBackendTraits Traits { get; } = new() { CanDiscard = true };

    /// <inheritdoc/>
    public ulong Length => (ulong)bytes.Length;

    /// <inheritdoc/>
    public void Submit(BlockOperation operation)
    {
        Span<byte> range = bytes.AsSpan((int)operation.Offset, (int)operation.Length);
        foreach (IoBuffer buffer in operation.Buffers)
        {
            Span<byte> piece = range[..buffer.Bytes.Length];
            if (operation.Kind == BlockOperationKind.Read)
                piece.CopyTo(buffer.Bytes);
            else
                buffer.Bytes.CopyTo(piece);
            range = range[piece.Length..];
        }

        range.Clear(); // what is left is a range without buffers: discarded, or zeroes
        operation.Complete(BlockStatus.Ok);
    }

    /// <inheritdoc/>
    public void Finish(int queue)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}

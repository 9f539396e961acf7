using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Block;

/// <summary>Reads zero, and forgets what is written: to measure everything but storage.</summary>
/// <param name="length">How many bytes it pretends to have.</param>
public sealed class NullBackend(ulong length) : IBlockBackend
{
    /// <inheritdoc/>
    public BlockBackendTraits Traits { get; } = new() { CanDiscard = true, CanUnmapZeroes = true };

    /// <inheritdoc/>
    public ulong Length { get; } = length;

    /// <inheritdoc/>
    public void Submit(BlockOperation operation)
    {
        if (operation.Kind == BlockOperationKind.Read)
            foreach (IoBuffer buffer in operation.Buffers)
                buffer.Bytes.Clear();
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

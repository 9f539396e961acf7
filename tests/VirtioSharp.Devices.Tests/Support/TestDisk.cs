using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>An operation as the back-end got it.</summary>
internal sealed record Asked(BlockOperationKind Kind, int Queue, long Offset, long Length, int Buffers, bool Stable, bool Unmap);

/// <summary>A back-end in memory that a test can hold back, or let fail.</summary>
internal sealed class TestDisk(int bytes, BlockBackendTraits? traits = null) : IBlockBackend
{
    private ulong _length = (ulong)bytes;

    public BlockBackendTraits Traits { get; } = traits ?? new BlockBackendTraits { CanDiscard = true, CanUnmapZeroes = true, PhysicalBlockSize = 4096 };

    public ulong Length => _length;

    public byte[] Bytes { get; } = new byte[bytes];

    public bool Records { get; set; } = true;

    public List<Asked> Operations { get; } = [];

    /// <summary>What operations end with; null: they are served.</summary>
    public Func<BlockOperation, BlockStatus?>? Refusal { get; set; }

    /// <summary>Whether operations wait for <see cref="Complete"/>.</summary>
    public bool Holds { get; set; }

    public List<BlockOperation> Held { get; } = [];

    public int Finishes { get; private set; }

    public void Resize(ulong length) => _length = length;

    public void Submit(BlockOperation operation)
    {
        if (Records)
            Operations.Add(new Asked(operation.Kind, operation.Queue, operation.Offset, operation.Length, operation.Buffers.Length, operation.MustBeStable, operation.MayUnmap));
        if (Holds)
            Held.Add(operation);
        else
            Serve(operation);
    }

    public void Complete(int index)
    {
        BlockOperation operation = Held[index];
        Held.RemoveAt(index);
        Serve(operation);
    }

    public void Finish(int queue)
    {
        Finishes++;
        bool held = Holds;
        Holds = false;
        foreach (BlockOperation operation in Held.Where(operation => operation.Queue == queue).ToArray())
            Complete(Held.IndexOf(operation));
        Holds = held;
    }

    public void Dispose()
    {
    }

    private void Serve(BlockOperation operation)
    {
        if (Refusal?.Invoke(operation) is { } refusal)
        {
            operation.Complete(refusal);
            return;
        }

        Span<byte> range = Bytes.AsSpan((int)operation.Offset, (int)operation.Length);
        foreach (IoBuffer buffer in operation.Buffers)
        {
            Span<byte> piece = range[..buffer.Bytes.Length];
            if (operation.Kind == BlockOperationKind.Read)
                piece.CopyTo(buffer.Bytes);
            else
                buffer.Bytes.CopyTo(piece);
            range = range[piece.Length..];
        }

        range.Clear();
        operation.Complete(BlockStatus.Ok);
    }
}

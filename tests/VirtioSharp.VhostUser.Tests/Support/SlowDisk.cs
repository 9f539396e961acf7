using System.Collections.Concurrent;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A disk of ones whose operations wait until the device must have them done, or until somebody lets them.</summary>
internal sealed class SlowDisk : IBlockBackend
{
    public const int Bytes = 1 << 20;

    private readonly ConcurrentQueue<BlockOperation> _waiting = new();
    private volatile int _asked, _finishes;

    /// <summary>Operations that came.</summary>
    public int Asked => _asked;

    /// <summary>How often the device had to wait for what was under way.</summary>
    public int Finishes => _finishes;

    /// <summary>Whether what comes is done at once.</summary>
    public bool IsQuick { get; set; }

    public BlockBackendTraits Traits { get; } = new();

    public ulong Length => Bytes;

    public void Submit(BlockOperation operation)
    {
        _asked++;
        if (IsQuick)
            Do(operation);
        else
            _waiting.Enqueue(operation);
    }

    public void Finish(int queue)
    {
        _finishes++;
        while (_waiting.TryDequeue(out BlockOperation? operation))
            Do(operation);
    }

    public void Suspend(int queue)
    {
        while (_waiting.TryDequeue(out BlockOperation? operation))
            operation.Abandon();
    }

    public void Dispose()
    {
    }

    private static void Do(BlockOperation operation)
    {
        if (operation.Kind == BlockOperationKind.Read)
            foreach (IoBuffer buffer in operation.Buffers)
                buffer.Bytes.Fill(1);
        operation.Complete(BlockStatus.Ok);
    }
}

using VirtioSharp.Devices.Block;

namespace VirtioSharp.Cli.Tests.Support;

/// <summary>A disk that is stuck: what is asked of it waits, until the device must stop.</summary>
internal sealed class GatedBackend(IBlockBackend disk) : IBlockBackend
{
    private readonly Queue<BlockOperation> _waiting = new();
    private volatile int _asked;

    /// <summary>Operations that came.</summary>
    public int Asked => _asked;

    /// <summary>Operations that were done here.</summary>
    public int Done { get; private set; }

    public BlockBackendTraits Traits => disk.Traits;

    public ulong Length => disk.Length;

    public void Submit(BlockOperation operation)
    {
        _waiting.Enqueue(operation);
        _asked++;
    }

    public void Finish(int queue)
    {
        for (; _waiting.TryDequeue(out BlockOperation? operation); Done++)
            disk.Submit(operation); // completes it
    }

    public void Suspend(int queue)
    {
        while (_waiting.TryDequeue(out BlockOperation? operation))
            operation.Abandon();
    }

    public void Dispose() => disk.Dispose();
}

using VirtioSharp.Backends.Block;
using VirtioSharp.Devices.Block;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Transports.Loopback;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>Our driver and device in front of a file, everything in this process.</summary>
internal sealed class FileDisk : IDisposable
{
    private readonly FileBackend _backend;
    private readonly LoopbackTransport _transport;

    public FileDisk(string path, bool writable = true, bool direct = false, CapturedLog? log = null, BlockDeviceOptions? options = null)
    {
        File = StorageFile.Open(path, new StorageMode(writable, direct));
        _backend = new FileBackend(File, log);
        Device = new BlockDevice(_backend, options);
        _transport = new LoopbackTransport(Device, arenaBytes: 16 << 20);
        Driver = new BlockDriver(_transport);
    }

    public StorageFile File { get; }

    public BlockDevice Device { get; }

    public BlockDriver Driver { get; }

    public VirtioSharp.Core.Memory.DmaArena Dma => _transport.Dma;

    /// <summary>Sends one request and waits for its end.</summary>
    public BlockOutcome Ask(BlockRequest request)
    {
        Assert.True(Driver.TrySubmit(request, out _));
        Assert.True(Driver.Wait(TimeSpan.FromSeconds(30), out BlockResult result));
        return result.Outcome;
    }

    public void Dispose()
    {
        Driver.Dispose();
        _transport.Dispose();
        _backend.Dispose();
    }
}

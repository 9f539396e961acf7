using System.Diagnostics;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Bench.Blk;

/// <summary>A vhost-user-blk daemon in its own process, and our driver on its socket. The daemon is killed when disposed.</summary>
internal sealed class BlkBackEnd : IDisposable
{
    private const int BlockBytes = 4096;

    private readonly Process _process;
    private readonly VhostUserFrontEnd _transport;
    private readonly BlockDriver _driver;
    private readonly DmaBuffer[] _buffers;

    public BlkBackEnd(string program, string[] arguments, string socket, int maxDepth)
    {
        _process = Process.Start(program, arguments);
        try
        {
            while (!File.Exists(socket))
            {
                if (_process.HasExited)
                    throw new InvalidOperationException($"{program} ended with exit code {_process.ExitCode}");
                Thread.Sleep(20);
            }

            _transport = VhostUserFrontEnd.Connect(socket, DeviceId.Block);
            _driver = new BlockDriver(_transport, new BlockDriverOptions { MaxQueues = 1, QueueSize = 128 });
            _buffers = [.. Enumerable.Range(0, maxDepth).Select(_ => _transport.Dma.Allocate(BlockBytes, BlockBytes))];
        }
        catch
        {
            EndProcess();
            throw;
        }
    }

    /// <summary>Reads blocks at random places, always <paramref name="depth"/> of them at once.</summary>
    /// <returns>Thousands of reads in a second.</returns>
    public double Read(int reads, int depth)
    {
        var random = new Random(depth);
        long blocks = (long)_driver.Capacity * 512 / BlockBytes;
        Span<int> bufferOf = stackalloc int[_driver.MaxInFlight];
        long start = Stopwatch.GetTimestamp();
        int submitted = 0;
        for (; submitted < depth; submitted++)
            Submit(submitted, bufferOf);
        for (int done = 0; done < reads;)
        {
            if (!_driver.Wait(TimeSpan.FromSeconds(30), out BlockResult result))
                throw new TimeoutException("the back-end does not answer");
            do
            {
                result.ThrowIfFailed();
                done++;
                if (submitted < reads)
                {
                    Submit(bufferOf[result.Token.Slot], bufferOf);
                    submitted++;
                }
            }
            while (_driver.TryTake(out result));
        }

        return reads / Stopwatch.GetElapsedTime(start).TotalMilliseconds;

        void Submit(int buffer, Span<int> bufferOf)
        {
            if (!_driver.TrySubmit(BlockRequest.Read((ulong)random.NextInt64(blocks) * (BlockBytes / 512), _buffers[buffer]), out BlockToken token))
                throw new InvalidOperationException($"{depth} requests have no room in the queue");
            bufferOf[token.Slot] = buffer;
        }
    }

    public void Dispose()
    {
        _driver.Dispose();
        _transport.Dispose();
        EndProcess();
    }

    private void EndProcess()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;

namespace VirtioSharp.Cli.Tests.Support;

/// <summary>
/// Keeps reads and writes in flight on random blocks of a disk, and knows what must be in each. A request that is lost never
/// comes back; one that is done twice comes back twice, or overwrites what was written after it.
/// </summary>
/// <remarks>A block holds its number and how often it was written, again and again; no two requests are on one block at a time.</remarks>
internal sealed class BlockLoad
{
    public const int BlockBytes = 4096;
    private const int SectorsPerBlock = BlockBytes / 512;

    private readonly BlockDriver _driver;
    private readonly Random _random;
    private readonly uint[] _written;      // by block: how often
    private readonly bool[] _busy;         // by block
    private readonly Flight[] _flights;    // by buffer
    private readonly Stack<int> _free = [];
    private readonly Dictionary<ulong, int> _byNumber = [];

    public BlockLoad(BlockDriver driver, DmaArena arena, int blocks, int depth, int seed)
    {
        (_driver, _random) = (driver, new Random(seed));
        (_written, _busy, _flights) = (new uint[blocks], new bool[blocks], new Flight[depth]);
        DmaBuffer memory = arena.Allocate(depth * BlockBytes, BlockBytes);
        for (int i = 0; i < depth; i++)
        {
            _flights[i].Data = memory.Slice(i * BlockBytes, BlockBytes);
            _free.Push(i);
        }
    }

    /// <summary>Requests that came back.</summary>
    public int Done { get; private set; }

    /// <summary>Submits as many as there may be, and takes at least one result.</summary>
    public void Step()
    {
        while (_free.Count > 0)
            Submit(RandomIdleBlock(), isWrite: _random.Next(3) != 0);
        TakeOne();
    }

    /// <summary>Waits for all that is in flight, and then reads every block.</summary>
    public void Verify()
    {
        Drain();
        for (int block = 0; block < _written.Length; block++)
        {
            while (_free.Count == 0)
                TakeOne();
            Submit(block, isWrite: false);
        }

        Drain();
    }

    /// <summary>What the disk's file must hold.</summary>
    public void AssertFile(string path)
    {
        using FileStream file = File.OpenRead(path);
        byte[] block = new byte[BlockBytes];
        for (int i = 0; i < _written.Length; i++)
        {
            file.ReadExactly(block);
            AssertBlock(i, block);
        }
    }

    private void Drain()
    {
        while (_byNumber.Count > 0)
            TakeOne();
    }

    private void Submit(int block, bool isWrite)
    {
        int buffer = _free.Pop();
        ref Flight flight = ref _flights[buffer];
        (flight.Block, flight.IsWrite) = (block, isWrite);
        if (isWrite)
            MemoryMarshal.Cast<byte, ulong>(flight.Data.Span).Fill(Content(block, ++_written[block]));
        else
            flight.Data.Span.Fill(0xEE);
        ulong sector = (ulong)block * SectorsPerBlock;
        Assert.True(_driver.TrySubmit(isWrite ? BlockRequest.Write(sector, flight.Data) : BlockRequest.Read(sector, flight.Data), out BlockToken token), "there is no room");
        _byNumber.Add(token.Number, buffer);
        _busy[block] = true;
    }

    private void TakeOne()
    {
        Assert.True(_driver.Wait(TimeSpan.FromSeconds(60), out BlockResult result), $"{_byNumber.Count} requests do not come back after {Done}");
        result.ThrowIfFailed();
        Assert.True(_byNumber.Remove(result.Token.Number, out int buffer), $"request {result.Token.Number} came back that is not in flight");
        ref Flight flight = ref _flights[buffer];
        if (!flight.IsWrite)
            AssertBlock(flight.Block, flight.Data.Span);
        _busy[flight.Block] = false;
        _free.Push(buffer);
        Done++;
    }

    private void AssertBlock(int block, ReadOnlySpan<byte> data)
    {
        ulong expected = _written[block] == 0 ? 0 : Content(block, _written[block]);
        int wrong = MemoryMarshal.Cast<byte, ulong>(data).IndexOfAnyExcept(expected);
        if (wrong >= 0)
            Assert.Fail($"block {block}, word {wrong}: {MemoryMarshal.Cast<byte, ulong>(data)[wrong]:x16}, {expected:x16} was written last");
    }

    private int RandomIdleBlock()
    {
        while (true)
        {
            int block = _random.Next(_written.Length);
            if (!_busy[block])
                return block;
        }
    }

    private static ulong Content(int block, uint times) => (ulong)block << 32 | times;

    private struct Flight
    {
        public DmaBuffer Data;
        public int Block;
        public bool IsWrite;
    }
}

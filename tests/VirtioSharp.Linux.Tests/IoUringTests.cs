using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Tests;

/// <summary>The kernel's own io_uring on a file in memory.</summary>
public sealed unsafe class IoUringTests : IDisposable
{
    private const int Bytes = 4096;

    private readonly FileDescriptor _file = MemFd.Create("file", Bytes);
    private readonly byte* _memory = (byte*)NativeMemory.AllocZeroed(Bytes);
    private readonly IoVector* _buffers = (IoVector*)NativeMemory.AllocZeroed(64, (nuint)sizeof(IoVector));

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        NativeMemory.Free(_buffers);
        _file.Dispose();
    }

    [Fact]
    public void What_is_written_is_read_and_each_end_has_its_tag_and_result()
    {
        using IoUring ring = Create(8);
        new Span<byte>(_memory, 100).Fill(5);
        _buffers[0] = new IoVector((nint)_memory, 60);
        _buffers[1] = new IoVector((nint)_memory, 40);
        _buffers[2] = new IoVector((nint)_memory + 1000, 200);
        ring.Write(_file, _buffers, 2, 3, stable: true, tag: 11);
        Assert.Equal([(11ul, 100)], Ends(ring, 1));
        ring.Read(_file, _buffers + 2, 1, 3, tag: 12);
        ring.Flush(_file, tag: 13);

        Assert.Equal([(12ul, 200), (13ul, 0)], Ends(ring, 2).Order());

        Assert.Equal([.. Enumerable.Repeat((byte)5, 100), .. new byte[100]], new Span<byte>(_memory + 1000, 200).ToArray());
    }

    [Fact]
    public void An_error_is_a_result()
    {
        using IoUring ring = Create(8);
        _buffers[0] = new IoVector((nint)_memory, 100);

        ring.Read(_file, _buffers, 1, -5, tag: 1);

        Assert.Equal([(1ul, -(int)Errno.EINVAL)], Ends(ring, 1));
    }

    [Fact]
    public void What_waits_can_be_cancelled_and_both_end()
    {
        using IoUring ring = Create(8);
        (UnixSocket waiting, UnixSocket other) = UnixSocket.Pair();
        using (waiting)
        using (other)
        {
            _buffers[0] = new IoVector((nint)_memory, 100);
            ring.Read(waiting.Descriptor, _buffers, 1, -1, tag: 1);
            ring.Submit();

            ring.Cancel(target: 1, tag: 2);

            Dictionary<ulong, int> ends = Ends(ring, 2).ToDictionary(end => end.Tag, end => end.Result);
            Assert.Contains((Errno)(-ends[1]), new[] { Errno.ECANCELED, Errno.EINTR });
            Assert.True(ends.ContainsKey(2));
        }
    }

    [Fact]
    public void A_full_ring_refuses_more_until_it_is_submitted()
    {
        using IoUring ring = Create(4);
        for (ulong tag = 0; tag < 4; tag++)
            ring.Flush(_file, tag);

        Assert.True(ring.IsFull);
        Assert.Throws<InvalidOperationException>(() => ring.Flush(_file, 4));
        Assert.Equal([0ul, 1ul, 2ul, 3ul], Ends(ring, 4).Select(end => end.Tag).Order());
        Assert.False(ring.IsFull);
    }

    [Fact]
    public void What_has_not_begun_can_be_withdrawn()
    {
        using IoUring ring = Create(4);
        for (ulong tag = 0; tag < 4; tag++)
            ring.Flush(_file, tag);

        Assert.True(ring.TryWithdraw(out ulong third));
        Assert.True(ring.TryWithdraw(out ulong second));
        ring.Flush(_file, 7);

        Assert.Equal((3ul, 2ul), (third, second));
        Assert.Equal([0ul, 1ul, 7ul], Ends(ring, 3).Select(end => end.Tag).Order());
        Assert.False(ring.HasPrepared || ring.TryWithdraw(out _));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void More_ends_than_the_ring_has_room_for_are_all_there(bool wait)
    {
        using IoUring ring = Create(4); // 32 ends
        for (ulong tag = 0; tag < 200; tag++)
        {
            if (ring.IsFull)
                ring.Submit();
            ring.Flush(_file, tag);
        }

        Assert.Equal(Enumerable.Range(0, 200).Select(tag => (ulong)tag), Ends(ring, 200, wait).Select(end => end.Tag).Order());
        Assert.False(ring.TryTake(out _, out _));
    }

    [Fact]
    public void The_descriptor_is_readable_while_there_are_ends()
    {
        using IoUring ring = Create(4);
        Assert.False(Readiness.WaitReadable(ring.Descriptor, TimeSpan.Zero));

        ring.Flush(_file, 1);
        ring.Submit(wait: true);

        Assert.True(Readiness.WaitReadable(ring.Descriptor, TimeSpan.Zero));
        Assert.True(ring.TryTake(out _, out _));
        Assert.False(Readiness.WaitReadable(ring.Descriptor, TimeSpan.Zero));
    }

    private static IoUring Create(int entries)
    {
        try
        {
            return IoUring.Create(entries);
        }
        catch (LinuxException refused)
        {
            Assert.Skip(refused.Message);
            throw;
        }
    }

    private static List<(ulong Tag, int Result)> Ends(IoUring ring, int count, bool wait = true)
    {
        var ends = new List<(ulong, int)>();
        for (int round = 0; ends.Count < count && round < 10_000; round++)
        {
            if (!wait)
                Assert.True(Readiness.WaitReadable(ring.Descriptor, TimeSpan.FromSeconds(30)));
            ring.Submit(wait);
            while (ring.TryTake(out ulong tag, out int result))
                ends.Add((tag, result));
        }

        return ends;
    }
}

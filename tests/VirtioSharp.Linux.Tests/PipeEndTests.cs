namespace VirtioSharp.Linux.Tests;

/// <summary>Ends of pipes that make nobody wait.</summary>
public sealed class PipeEndTests
{
    [Fact]
    public void What_is_written_is_read_and_then_comes_the_end()
    {
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        {
            byte[] bytes = new byte[8];
            using (writing)
            {
                Assert.Equal(PipeEnd.WouldBlock, reading.Read(bytes));
                Assert.Equal(3, writing.Write([1, 2, 3]));
                Assert.Equal(3, reading.Read(bytes));
            }

            Assert.Equal([1, 2, 3, 0, 0, 0, 0, 0], bytes);
            Assert.Equal(0, reading.Read(bytes));
        }
    }

    [Fact]
    public void A_full_pipe_says_so_and_one_without_a_reader_is_an_error()
    {
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (writing)
        {
            using (reading)
                while (writing.Write(new byte[4096]) != PipeEnd.WouldBlock)
                {
                }

            Assert.Equal(Errno.EPIPE, Assert.Throws<LinuxException>(() => writing.Write([1])).Errno);
        }
    }

    [Fact]
    public void The_wrong_end_is_an_error()
    {
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        using (writing)
        {
            Assert.Equal(Errno.EBADF, Assert.Throws<LinuxException>(() => reading.Write([1])).Errno);
            Assert.Equal(Errno.EBADF, Assert.Throws<LinuxException>(() => writing.Read(new byte[1])).Errno);
        }
    }

    [Fact]
    public void What_may_make_its_user_wait_is_not_adopted_and_is_closed()
    {
        FileDescriptor file = MemFd.Create("file", 1), counter = EventFd.Create().Descriptor;

        foreach (FileDescriptor wrong in new[] { file, counter })
        {
            Assert.Equal(Errno.EOPNOTSUPP, Assert.Throws<LinuxException>(() => PipeEnd.Adopt(wrong)).Errno);
            Assert.True(wrong.IsClosed);
        }
    }
}

using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Tests;

/// <summary>Files read and written at offsets, in pieces; and who may have one open.</summary>
public sealed unsafe class StorageFileTests : IDisposable
{
    private static readonly StorageMode Reading = new(Writable: false, Direct: false);
    private static readonly StorageMode Writing = new(Writable: true, Direct: false);

    private readonly TemporaryDirectory _directory = new();

    private string Path => _directory["file"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void More_pieces_than_one_call_takes_are_written_and_read()
    {
        byte[] bytes = Bytes(3000 * 7), copy = new byte[bytes.Length];
        File.WriteAllBytes(Path, []);
        using var file = StorageFile.Open(Path, Writing);

        Assert.Equal(Errno.None, Write(file, bytes, 7, 5));
        Assert.Equal(Errno.None, Read(file, copy, 5, 5));

        Assert.Equal(bytes, copy);
        Assert.Equal([.. new byte[5], .. bytes], File.ReadAllBytes(Path));
        Assert.Equal((ulong)bytes.Length + 5, file.Length);
    }

    [Fact]
    public void A_read_beyond_the_end_has_no_data()
    {
        File.WriteAllBytes(Path, new byte[100]);
        using var file = StorageFile.Open(Path, Reading);

        Assert.Equal(Errno.ENODATA, Read(file, new byte[100], 50, offset: 1));
        Assert.Equal(Errno.None, Read(file, new byte[100], 50, offset: 0));
    }

    [Theory]
    [InlineData(100)]
    [InlineData(50)]
    public void Reads_leave_no_note_of_when_they_were(int piece)
    {
        File.WriteAllBytes(Path, new byte[100]);
        var longAgo = new DateTime(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        File.SetLastAccessTimeUtc(Path, longAgo); // before the last write: even a file system with relatime would note the next read
        using var file = StorageFile.Open(Path, Reading);

        Assert.Equal(Errno.None, Read(file, new byte[100], piece, offset: 0));

        Assert.Equal(longAgo, File.GetLastAccessTimeUtc(Path));
    }

    [Fact]
    public void A_file_for_reading_is_not_written()
    {
        File.WriteAllBytes(Path, new byte[100]);
        using var file = StorageFile.Open(Path, Reading);

        Assert.Equal(Errno.EBADF, Write(file, new byte[10], 10, 0));
    }

    [Fact]
    public void A_hole_reads_zero_and_a_flush_succeeds()
    {
        File.WriteAllBytes(Path, Bytes(16384));
        using var file = StorageFile.Open(Path, Writing);

        Assert.Equal(Errno.None, file.PunchHole(4096, 4096));
        Assert.Equal(Errno.None, file.Flush());

        Assert.Equal(new byte[4096], File.ReadAllBytes(Path)[4096..8192]);
        Assert.Equal(Bytes(16384)[8192..], File.ReadAllBytes(Path)[8192..]);
    }

    [Fact]
    public void One_writer_shuts_everybody_out_and_readers_only_writers()
    {
        File.WriteAllBytes(Path, new byte[100]);
        using (StorageFile.Open(Path, Writing))
        {
            Assert.Equal(Errno.EBUSY, Refusal(Path, Writing).Errno);
            Assert.Contains("another program has it open", Refusal(Path, Reading).Message, StringComparison.Ordinal);
        }

        using var first = StorageFile.Open(Path, Reading);
        using var second = StorageFile.Open(Path, Reading);
        Assert.Equal(Errno.EBUSY, Refusal(Path, Writing).Errno);
        Assert.True(first.IsLocked && second.IsLocked);
    }

    [Fact]
    public void What_stores_nothing_is_refused_and_a_pipe_does_not_wait()
    {
        Assert.Equal(Errno.EISDIR, Refusal(_directory["."], Reading).Errno);
        Assert.Equal(Errno.EISDIR, Refusal(_directory["."], Writing).Errno);
        Assert.Equal(Errno.ENODEV, Refusal("/dev/null", Writing).Errno);
        Assert.Equal(Errno.ENOENT, Refusal(Path, Reading).Errno);
        MakePipe(Path);
        Assert.Equal(Errno.ENODEV, Refusal(Path, Reading).Errno);
    }

    [Fact]
    public void Calls_wait_for_the_storage()
    {
        File.WriteAllBytes(Path, new byte[100]);
        using var file = StorageFile.Open(Path, Writing);

        Assert.Equal(0, FlagsOf(file) & Interop.Fcntl.O_NONBLOCK);
    }

    [Fact]
    public void Past_the_page_cache_alignment_is_asked_for_and_kept()
    {
        File.WriteAllBytes(Path, Bytes(65536));
        using StorageFile file = OpenDirect(Path);
        byte* memory = (byte*)NativeMemory.AlignedAlloc(65536, (nuint)file.MemoryAlignment);
        try
        {
            Assert.Equal(Errno.None, file.Read([new IoVector((nint)memory, 65536)], 0));
            Assert.True(new ReadOnlySpan<byte>(memory, 65536).SequenceEqual(Bytes(65536)));
            Assert.True(int.IsPow2(file.MemoryAlignment) && int.IsPow2(file.OffsetAlignment));
            Assert.True((FlagsOf(file) & Interop.Fcntl.O_DIRECT) != 0);
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private static StorageFile OpenDirect(string path)
    {
        try
        {
            return StorageFile.Open(path, new StorageMode(Writable: true, Direct: true));
        }
        catch (LinuxException refused) when (refused.Errno == Errno.EINVAL)
        {
            Assert.Skip($"the file system of {path} has no O_DIRECT");
            throw;
        }
    }

    /// <summary>By the kernel's word on the open file.</summary>
    private static int FlagsOf(StorageFile file)
    {
        string flags = File.ReadLines($"/proc/self/fdinfo/{file.Descriptor.Number}").First(line => line.StartsWith("flags:", StringComparison.Ordinal));
        return Convert.ToInt32(flags[6..].Trim(), 8);
    }

    private static LinuxException Refusal(string path, StorageMode mode) => Assert.Throws<LinuxException>(() => StorageFile.Open(path, mode));

    private static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    private static Errno Read(StorageFile file, byte[] into, int piece, long offset)
    {
        fixed (byte* start = into)
            return file.Read(Cut(start, into.Length, piece), offset);
    }

    private static Errno Write(StorageFile file, byte[] from, int piece, long offset)
    {
        fixed (byte* start = from)
            return file.Write(Cut(start, from.Length, piece), offset, stable: true);
    }

    private static IoVector[] Cut(byte* start, int length, int piece)
    {
        var pieces = new List<IoVector>();
        for (int at = 0; at < length; at += piece)
            pieces.Add(new IoVector((nint)start + at, Math.Min(piece, length - at)));
        return [.. pieces];
    }

    private static void MakePipe(string path)
    {
        using var mkfifo = System.Diagnostics.Process.Start("mkfifo", [path]);
        mkfifo.WaitForExit();
        Assert.Equal(0, mkfifo.ExitCode);
    }
}

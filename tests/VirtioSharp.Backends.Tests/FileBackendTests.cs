using VirtioSharp.Backends.Block;
using VirtioSharp.Backends.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Tests;

/// <summary>A real file behind the device: through the page cache, and past it.</summary>
[Proves("Block device", "loopback")]
public sealed class FileBackendTests : IDisposable
{
    private const int Bytes = 4 << 20;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _model = new byte[Bytes];

    public FileBackendTests()
    {
        new Random(4).NextBytes(_model);
        File.WriteAllBytes(Path, _model);
    }

    private string Path => _directory["disk"];

    public void Dispose() => _directory.Dispose();

    private long AllocatedBytes()
    {
        using var stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%b", Path]) { RedirectStandardOutput = true })!;
        return long.Parse(stat.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture) * 512;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_file_has_what_was_written_and_reads_give_what_the_file_has(bool direct)
    {
        var random = new Random(6);
        using (var disk = new FileDisk(Path, direct: direct))
        {
            for (int round = 0; round < 200; round++)
            {
                int sectors = random.Next(1, random.Next(2) == 0 ? 9 : 700), sector = random.Next(Bytes / 512 - sectors);
                byte[] data = new byte[sectors * 512];
                Span<byte> place = _model.AsSpan(sector * 512, data.Length);
                switch (random.Next(6))
                {
                    case 0:
                        disk.Driver.WriteZeroes((ulong)sector, (ulong)sectors, mayUnmap: random.Next(2) == 0);
                        place.Clear();
                        break;
                    case 1:
                        disk.Driver.Discard((ulong)sector, (ulong)sectors);
                        place.Clear(); // a file's hole reads zero, though a discard promises nothing
                        break;
                    case 2:
                        disk.Driver.Flush();
                        break;
                    default:
                        random.NextBytes(data);
                        disk.Driver.Write((ulong)sector, data);
                        data.CopyTo(place);
                        break;
                }

                disk.Driver.Read((ulong)sector, data);
                Assert.True(place.SequenceEqual(data), $"round {round}: {sectors} sectors at {sector}");
            }
        }

        Assert.True(_model.AsSpan().SequenceEqual(File.ReadAllBytes(Path)));
    }

    [Theory]
    [InlineData(0, 512, 3)]      // a sector in the middle of a block
    [InlineData(1, 4096, 8)]     // memory that is not aligned
    [InlineData(512, 4096, 1)]   // aligned to a sector, across two blocks
    [InlineData(7, 3 << 20, 5)]  // more than goes through the buffer at a time
    public void Past_the_page_cache_memory_and_sectors_may_lie_anywhere(int misaligned, int length, int sector)
    {
        using (var disk = new FileDisk(Path, direct: true))
        {
            DmaBuffer buffer = disk.Dma.Allocate(length + misaligned, 4096).Slice(misaligned, length);

            Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Read((ulong)sector, buffer)));
            Assert.True(buffer.Span.SequenceEqual(_model.AsSpan(sector * 512, length)));
            new Random(length).NextBytes(buffer.Span);
            buffer.Span.CopyTo(_model.AsSpan(sector * 512));
            Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Write((ulong)sector, buffer)));
        }

        Assert.True(_model.AsSpan().SequenceEqual(File.ReadAllBytes(Path)));
    }

    [Fact]
    public void Past_the_page_cache_a_file_must_be_whole_blocks_long()
    {
        File.WriteAllBytes(Path, new byte[4096 + 100]);

        ArgumentException refused = Assert.Throws<ArgumentException>(() => new FileDisk(Path, direct: true));

        Assert.Contains("4196 bytes", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Discarded_storage_is_given_back_and_the_length_stays()
    {
        using var disk = new FileDisk(Path);

        disk.Driver.Discard(0, Bytes / 512);
        disk.Driver.Flush();

        Assert.Equal(Bytes, new FileInfo(Path).Length);
        Assert.True(AllocatedBytes() < Bytes / 2);
    }

    [Fact]
    public void Zeroes_that_may_not_be_unmapped_keep_their_storage()
    {
        using var disk = new FileDisk(Path);

        disk.Driver.WriteZeroes(0, Bytes / 512, mayUnmap: false);
        disk.Driver.Flush();

        Assert.True(AllocatedBytes() >= Bytes);
    }

    [Fact]
    public void A_file_that_has_become_shorter_fails_what_is_gone_says_so_once_and_serves_the_rest()
    {
        var log = new CapturedLog();
        using var disk = new FileDisk(Path, log: log);
        DmaBuffer buffer = disk.Dma.Allocate(4096);
        using (FileStream file = new(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(6144);

        Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Read(8, buffer)));
        Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Read(16, buffer)));

        Assert.Equal(["Error: Read of 4096 bytes at 4096 failed: the file has become shorter; the driver is told so (said once)"], log.Lines);
        Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Read(0, buffer)));
    }

    [Fact]
    public void A_write_that_the_file_refuses_fails_each_kind_is_said_once_and_reads_go_on()
    {
        using FileDescriptor memory = MemFd.Create("disk", 1 << 20);
        var log = new CapturedLog();
        using var disk = new FileDisk($"/proc/self/fd/{memory.Number}", log: log);
        DmaBuffer buffer = disk.Dma.Allocate(4096);
        Seals.ForbidWrites(memory);

        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Write(8, buffer)));
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.WriteZeroes(8, 8, mayUnmap: true)));
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Discard(8, 8)));
            Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Read(8, buffer)));
        }

        Assert.Equal(
        [
            "Error: Write of 4096 bytes at 4096 failed: the system says: operation not permitted (EPERM); the driver is told so (said once)",
            "Error: WriteZeroes of 4096 bytes at 4096 failed: the system says: operation not permitted (EPERM); the driver is told so (said once)",
            "Error: Discard of 4096 bytes at 4096 failed: the system says: operation not permitted (EPERM); the driver is told so (said once)",
        ], log.Lines);
    }

    [Fact]
    public void After_a_flush_that_failed_none_succeeds_and_that_is_said_once()
    {
        var log = new CapturedLog();
        using var disk = new FileDisk(Path, log: log);
        disk.Driver.Write(0, new byte[4096]);

        using (OtherFile.Pipe(disk.File.Descriptor.Number))
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Flush()));

        Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Flush()));
        Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Flush()));
        Assert.Single(log.Lines, "Error: writes since the last flush may be lost: fdatasync: invalid argument (EINVAL); every flush fails from now on, until the disk is served anew");
        Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Read(0, disk.Dma.Allocate(4096))));
    }

    [Fact]
    public void After_a_stable_write_that_failed_no_flush_succeeds_and_other_writes_do()
    {
        using var disk = new FileDisk(Path);
        DmaBuffer buffer = disk.Dma.Allocate(4096);
        disk.Driver.SetWriteback(false);

        using (OtherFile.ReadOnly(disk.File.Descriptor.Number, Path))
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Write(0, buffer)));

        Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Flush()));
        Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Write(0, buffer)));
    }

    [Fact]
    public void A_volatile_write_that_failed_is_not_a_flush_that_failed()
    {
        using var disk = new FileDisk(Path);
        DmaBuffer buffer = disk.Dma.Allocate(4096);

        using (OtherFile.ReadOnly(disk.File.Descriptor.Number, Path))
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Write(0, buffer)));

        Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Flush()));
    }

    [Fact]
    public void A_file_that_is_made_shorter_or_longer_by_its_device_is_seen_by_the_driver()
    {
        using var disk = new FileDisk(Path);

        disk.Device.Resize(Bytes / 2);
        disk.Driver.CheckConfiguration();
        Assert.Equal((ulong)Bytes / 2 / 512, disk.Driver.Capacity);
        disk.Device.Resize(Bytes);
        disk.Driver.CheckConfiguration();
        byte[] read = new byte[4096];
        disk.Driver.Read(Bytes / 512 - 8, read);

        Assert.Equal(new byte[4096], read);
        Assert.Throws<ArgumentException>(() => disk.Device.Resize(1000));
    }

    [Fact]
    public void Past_the_page_cache_a_flush_that_failed_is_tried_again()
    {
        using var disk = new FileDisk(Path, direct: true);

        using (OtherFile.Pipe(disk.File.Descriptor.Number))
            Assert.Equal(BlockOutcome.IoError, disk.Ask(BlockRequest.Flush()));

        Assert.Equal(BlockOutcome.Done, disk.Ask(BlockRequest.Flush()));
    }

    [Fact]
    public void Where_a_file_system_has_no_call_for_zeroes_they_are_written()
    {
        using FileDescriptor memory = MemFd.Create("disk", 4 << 20); // tmpfs has holes, and no FALLOC_FL_ZERO_RANGE
        using var disk = new FileDisk($"/proc/self/fd/{memory.Number}");
        byte[] data = new byte[4 << 20];
        new Random(2).NextBytes(data);
        disk.Driver.Write(0, data);

        disk.Driver.WriteZeroes(3, 5000, mayUnmap: false);

        data.AsSpan(3 * 512, 5000 * 512).Clear();
        byte[] read = new byte[data.Length];
        disk.Driver.Read(0, read);
        Assert.True(data.AsSpan().SequenceEqual(read));
    }

    [Fact]
    public void A_longer_file_is_seen_when_the_device_looks()
    {
        using var disk = new FileDisk(Path);
        using (FileStream file = new(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(Bytes * 2);

        disk.Device.LookAtLength();
        disk.Driver.CheckConfiguration();
        disk.Driver.Write(Bytes / 512, new byte[4096]);

        Assert.Equal((ulong)Bytes * 2 / 512, disk.Driver.Capacity);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Closing_it_twice_is_closing_it_once(bool direct)
    {
        var backend = new FileBackend(StorageFile.Open(Path, new StorageMode(Writable: true, direct)));

        backend.Dispose();
        backend.Dispose();

        using var again = new FileDisk(Path, direct: direct);
        Assert.Equal((ulong)Bytes / 512, again.Driver.Capacity);
    }

    [Fact]
    public void Past_the_page_cache_a_longer_file_counts_in_whole_blocks()
    {
        StorageFile file = StorageFile.Open(Path, new StorageMode(Writable: true, Direct: true));
        using var backend = new FileBackend(file);

        using (FileStream longer = new(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            longer.SetLength(Bytes + file.OffsetAlignment + 100);

        Assert.Equal((ulong)(Bytes + file.OffsetAlignment), backend.Length);
    }

    [Fact]
    public void A_file_opened_for_reading_makes_a_read_only_device()
    {
        using var disk = new FileDisk(Path, writable: false);
        byte[] read = new byte[4096];

        disk.Driver.Read(0, read);

        Assert.Equal(_model[..4096], read);
        Assert.True(disk.Driver.NegotiatedFeatures.Has(BlockFeatures.ReadOnly));
    }

    [Fact]
    public void Nothing_is_allocated_for_a_request()
    {
        using var disk = new FileDisk(Path);
        DmaBuffer buffer = disk.Dma.Allocate(4096);
        Run(500);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(5000);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                ulong sector = (ulong)(i * 8 % (Bytes / 512));
                BlockRequest request = (i % 3) switch
                {
                    0 => BlockRequest.Read(sector, buffer),
                    1 => BlockRequest.Write(sector, buffer),
                    _ => BlockRequest.WriteZeroes(sector, 8, mayUnmap: true),
                };
                if (!disk.Driver.TrySubmit(request, out _) || !disk.Driver.Wait(TimeSpan.FromSeconds(30), out BlockResult result) || !result.IsDone)
                    Assert.Fail("no result");
            }
        }
    }
}

using VirtioSharp.Backends.Tests.Support;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Tests;

/// <summary>A real block device behind ours, where one can be made.</summary>
public sealed class BlockDeviceFileTests : IDisposable
{
    private const int Bytes = 8 << 20;
    private static readonly StorageMode Writing = new(Writable: true, Direct: false);

    private readonly TemporaryDirectory _directory = new();
    private readonly LoopDevice _loop;

    public BlockDeviceFileTests()
    {
        File.WriteAllBytes(_directory["disk"], new byte[Bytes]);
        try
        {
            _loop = LoopDevice.Over(_directory["disk"], blockBytes: 4096);
        }
        catch
        {
            _directory.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _loop.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public void One_that_is_mounted_or_claimed_is_not_written_to()
    {
        using (FileDescriptor? claim = _loop.Claim())
        {
            Assert.NotNull(claim);
            LinuxException refused = Assert.Throws<LinuxException>(() => StorageFile.Open(_loop.Path, Writing));
            Assert.Equal(Errno.EBUSY, refused.Errno);
            Assert.Contains("it is mounted, or something else has claimed it", refused.Message, StringComparison.Ordinal);
            StorageFile.Open(_loop.Path, Writing with { Shared = true }).Dispose();
            StorageFile.Open(_loop.Path, Writing with { Writable = false }).Dispose();
        }

        using var ours = StorageFile.Open(_loop.Path, Writing);
        Assert.Null(_loop.Claim());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Zeroes_and_discards_of_parts_of_its_blocks_succeed(bool mayUnmap)
    {
        using var disk = new FileDisk(_loop.Path);
        byte[] model = new byte[65536], read = new byte[65536];
        new Random(1).NextBytes(model);
        disk.Driver.Write(0, model);

        disk.Driver.Discard(100, 3);
        disk.Driver.WriteZeroes(3, 7, mayUnmap);
        disk.Driver.WriteZeroes(16, 8, mayUnmap);

        disk.Driver.Read(0, read);
        model.AsSpan(3 * 512, 7 * 512).Clear();
        model.AsSpan(16 * 512, 8 * 512).Clear();
        model.AsSpan(100 * 512, 3 * 512).Clear();
        read.AsSpan(100 * 512, 3 * 512).Clear(); // whatever it reads
        Assert.True(model.AsSpan().SequenceEqual(read));
    }
}

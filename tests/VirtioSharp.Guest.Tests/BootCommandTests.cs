namespace VirtioSharp.Guest.Tests;

/// <summary><c>vio boot</c>, as a user runs it.</summary>
public sealed class BootCommandTests
{
    [Fact]
    public async Task The_command_boots_a_guest_and_shows_what_both_sides_saw()
    {
        Guests.KernelOrSkip();
        await using VioProcess vio = VioProcess.Start("boot", "rng", "--kibibytes", "64");

        Ending end = await vio.EndAsync(Guests.Patience);

        Assert.Equal((0, ""), (end.ExitCode, end.Errors));
        Assert.Contains("rng_current is virtio_rng.0; /dev/hwrng gave 65536 bytes", end.Output, StringComparison.Ordinal);
        Assert.Contains("what the device saw", end.Output, StringComparison.Ordinal);
        Assert.Matches("bytes +│ 6[5-9],[0-9]{3}", end.Output);
    }

    [Fact]
    [Runs("./run")]
    public async Task One_command_builds_everything_and_shows_a_guest_reading()
    {
        Guests.KernelOrSkip();
        if (Checkout.Root is null)
            Assert.Skip($"there is no source tree with ./run above {AppContext.BaseDirectory}");
        await using VioProcess run = VioProcess.StartProgram(Path.Combine(Checkout.Root, "run"), []);

        Ending end = await run.EndAsync(TimeSpan.FromMinutes(5));

        Assert.True(end.ExitCode == 0, end.Output + end.Errors);
        Assert.Contains("rng_current is virtio_rng.0; /dev/hwrng gave 262144 bytes", end.Output, StringComparison.Ordinal);
        Assert.Contains("what the device saw", end.Output, StringComparison.Ordinal);
    }

    [Fact]
    [Runs("./run blk")]
    public async Task One_command_boots_a_guest_that_mounts_a_disk_and_shows_it()
    {
        Guests.KernelOrSkip();
        if (Checkout.Root is null)
            Assert.Skip($"there is no source tree with ./run above {AppContext.BaseDirectory}");
        await using VioProcess run = VioProcess.StartProgram(Path.Combine(Checkout.Root, "run"), ["blk"]);

        Ending end = await run.EndAsync(TimeSpan.FromMinutes(5));

        Assert.True(end.ExitCode == 0, end.Output + end.Errors);
        Assert.Contains("mounted it as ext4", end.Output, StringComparison.Ordinal);
        Assert.Contains("rings.md", end.Output, StringComparison.Ordinal); // one of the documents
        Assert.Contains("The guest read 33554432 bytes", end.Output, StringComparison.Ordinal);
        Assert.Contains("what the device saw", end.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disk_without_a_file_system_is_read_and_told_so()
    {
        Guests.KernelOrSkip();
        using var directory = new TemporaryDirectory();
        File.WriteAllBytes(directory["disk"], new byte[1 << 20]);

        Ending end = await VioProcess.RunAsync("boot", "blk", directory["disk"]);

        Assert.Equal((0, ""), (end.ExitCode, end.Errors));
        Assert.Contains("no ext2, ext3 or ext4", end.Output, StringComparison.Ordinal);
        Assert.Contains("The guest read 1048576 bytes", end.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disk_that_is_not_there_is_told_in_the_daemons_words()
    {
        Guests.KernelOrSkip();
        using var directory = new TemporaryDirectory();

        Ending end = await VioProcess.RunAsync("boot", "blk", directory["disk"]);

        Assert.Equal((1, ""), (end.ExitCode, end.Output));
        Assert.Contains($"--blk-file {directory["disk"]}: there is no such file", end.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("65")]
    [InlineData("131072")]
    public async Task An_amount_that_it_cannot_do_is_a_usage_error(string kibibytes)
    {
        Ending end = await VioProcess.RunAsync("boot", "rng", "--kibibytes", kibibytes);

        Assert.Equal((2, ""), (end.ExitCode, end.Output));
        Assert.Equal($"vio: --kibibytes {kibibytes}: give a multiple of 64 up to 65536", end.Errors);
    }
}

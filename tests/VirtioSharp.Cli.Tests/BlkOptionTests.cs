using System.Runtime.Versioning;
using System.Text.Json;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Tests;

/// <summary>The block device's own options through the real program: what it says of itself, and how it says no.</summary>
[SupportedOSPlatform("linux")]
public sealed class BlkOptionTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string Disk => _directory["disk"];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData]
    [InlineData("--blk-file", "/nowhere/disk", "--read-only")]
    public async Task Capabilities_are_those_of_the_convention(params string[] others)
    {
        Ending run = await VioProcess.RunAsync(["serve", "blk", .. others, "--print-capabilities"]);

        Assert.Equal((0, ""), (run.ExitCode, run.Errors));
        using JsonDocument json = JsonDocument.Parse(run.Output);
        Assert.Equal("block", json.RootElement.GetProperty("type").GetString());
        Assert.Equal(["read-only", "blk-file"], json.RootElement.GetProperty("features").EnumerateArray().Select(feature => feature.GetString()));
    }

    [Fact]
    public async Task Started_as_vio_blk_it_is_vio_serve_blk()
    {
        File.WriteAllBytes(Disk, new byte[4096]);
        File.CreateSymbolicLink(_directory["vio-blk"], VioProcess.Program);
        await using VioProcess vio = VioProcess.StartProgram(_directory["vio-blk"], ["--socket-path", _directory["sock"], "--blk-file", Disk]);
        await vio.WaitForLogAsync("listening on");

        Assert.Equal(0, (await vio.EndByAsync(VioProcess.SigTerm)).ExitCode);
    }

    [Fact]
    public async Task Help_shows_an_example_that_names_the_disk()
    {
        Ending run = await VioProcess.RunAsync("serve", "blk", "--help");

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("vio serve blk --socket-path /tmp/blk.sock --blk-file disk.img", run.Output, StringComparison.Ordinal);
        Assert.Contains("vhost-user-blk-pci", run.Output, StringComparison.Ordinal);
        Assert.Contains("[default: writeback]", run.Output, StringComparison.Ordinal);
        Assert.Contains("[default: auto]", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_file_is_told_and_not_made()
    {
        Refusals.AssertOneLine(await ServeAsync(), 1, $"--blk-file {Disk}", "no such file", "truncate -s 1G");
        Assert.False(File.Exists(Disk));
    }

    [Fact]
    public async Task A_directory_a_device_of_characters_and_an_empty_file_are_no_disks()
    {
        File.WriteAllBytes(Disk, []);

        Refusals.AssertOneLine(await ServeAsync(), 1, $"--blk-file {Disk}", "0 bytes are no whole number of blocks");
        Refusals.AssertOneLine(await ServeFileAsync(_directory.Path), 1, "this is a directory");
        Refusals.AssertOneLine(await ServeFileAsync("/dev/null"), 1, "neither a file nor a block device");
    }

    [Theory]
    [InlineData(1000, "512")]
    [InlineData(4096 + 512, "4096")]
    public async Task A_length_that_is_no_whole_number_of_blocks_is_told(int bytes, string blockSize)
    {
        File.WriteAllBytes(Disk, new byte[bytes]);

        Refusals.AssertOneLine(await ServeAsync("--block-size", blockSize), 1, $"{bytes} bytes are no whole number of blocks of {blockSize}");
        Assert.False(File.Exists(_directory["sock"]));
    }

    [Fact]
    public async Task A_disk_that_another_program_has_open_is_left_alone()
    {
        File.WriteAllBytes(Disk, new byte[4096]);
        using var other = StorageFile.Open(Disk, new StorageMode(Writable: true, Direct: false));

        Refusals.AssertOneLine(await ServeAsync(), 1, $"--blk-file {Disk}", "another program has it open");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true, "--cache", "none")]
    [InlineData(false, "--cache", "none", "--aio", "sync")]
    [InlineData(true, "--aio", "io_uring")]
    public async Task Requests_wait_together_where_they_go_past_the_page_cache_and_otherwise_when_asked_to(bool together, params string[] options)
    {
        File.WriteAllBytes(Disk, new byte[4096]);
        await using VioProcess vio = await VioProcess.ServeAsync("blk", _directory["sock"], ["--blk-file", Disk, .. options]);

        IEnumerable<string?> open = Directory.EnumerateFileSystemEntries($"/proc/{vio.Id}/fd").Select(fd => new FileInfo(fd).LinkTarget);

        Assert.Equal(together, open.Contains("anon_inode:[io_uring]"));
    }

    [Fact]
    public async Task A_file_without_permission_to_write_is_told_with_the_way_out()
    {
        File.WriteAllBytes(Disk, new byte[4096]);
        File.SetUnixFileMode(Disk, UnixFileMode.UserRead);

        Ending run = Environment.IsPrivilegedProcess
            ? await PlainRoot.RunAsync("serve", "blk", "--socket-path", _directory["sock"], "--blk-file", Disk)
            : await ServeAsync();

        Refusals.AssertOneLine(run, 1, $"--blk-file {Disk}", "serve it with --read-only");
    }

    [Theory]
    [InlineData("give either --blk-file FILE, --blk-uri URI or --null SIZE")]
    [InlineData("--blk-file: the file's name is empty", "--blk-file", "")]
    [InlineData("give either --blk-file FILE, --blk-uri URI or --null SIZE", "--blk-file", "x", "--null", "1G")]
    [InlineData("--null 1X", "--null", "1X")]
    [InlineData("--null 99999999999T", "--null", "99999999999T")]
    [InlineData("--num-queues", "--null", "1M", "--num-queues", "0")]
    [InlineData("--num-queues", "--null", "1M", "--num-queues", "257")]
    [InlineData("--queue-size", "--null", "1M", "--queue-size", "100")]
    [InlineData("block size 1000", "--null", "1000", "--block-size", "1000")]
    [InlineData("block size 0", "--null", "1M", "--block-size", "0")]
    [InlineData("serial", "--null", "1M", "--serial", "longer than twenty characters")]
    [InlineData("'sometimes' not recognized. Must be one of: 'writeback' 'writethrough' 'none'", "--null", "1M", "--cache", "sometimes")]
    [InlineData("'io-uring' not recognized. Must be one of: 'auto' 'sync' 'io_uring'", "--null", "1M", "--aio", "io-uring")]
    [InlineData("0 bytes are no whole number of blocks of 512; give another size", "--null", "0")]
    [InlineData("K, M, G, T or P", "--null", "1E")]
    [InlineData("--cache none: it belongs to --blk-file", "--blk-uri", "nbd://localhost", "--cache", "none")]
    [InlineData("--aio: it belongs to --blk-file", "--blk-uri", "nbd://localhost", "--aio", "sync")]
    [InlineData("--shared: it belongs to --blk-file", "--blk-uri", "nbd://localhost", "--shared")]
    [InlineData("--blk-timeout: it belongs to --blk-uri", "--blk-file", "x", "--blk-timeout", "5")]
    [InlineData("--blk-timeout: it belongs to --blk-uri", "--null", "1M", "--blk-timeout", "5")]
    public async Task A_mistake_is_a_usage_error(string part, params string[] options)
    {
        Ending run = await VioProcess.RunAsync(["serve", "blk", "--socket-path", _directory["sock"], .. options]);

        Refusals.AssertOneLine(run, 2, part);
    }

    private Task<Ending> ServeAsync(params string[] options) => ServeFileAsync(Disk, options);

    private Task<Ending> ServeFileAsync(string file, params string[] options) =>
        VioProcess.RunAsync(["serve", "blk", "--socket-path", _directory["sock"], "--blk-file", file, .. options]);
}

using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Cli.Tests;

/// <summary><c>vio read blk</c> and <c>vio write blk</c> against a real <c>vio serve blk</c>.</summary>
[Proves("Block driver", "vhost-user")]
public sealed class DiskCopyTests : IDisposable
{
    private const int DiskBytes = 3 << 20;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _disk = new byte[DiskBytes];

    public DiskCopyTests()
    {
        new Random(11).NextBytes(_disk);
        File.WriteAllBytes(_directory["disk"], _disk);
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_disk_is_read_whole_or_in_part()
    {
        await using VioProcess vio = await ServeAsync();

        Ending whole = await RunAsync("read", "--output", _directory["whole"]);
        Ending part = await RunAsync("read", "--offset", "1024", "--bytes", "1536", "--output", _directory["part"]);
        Ending dump = await RunAsync("read", "--bytes", "512", "--hex");

        Assert.Equal((0, "", 0, ""), (whole.ExitCode, whole.Errors, part.ExitCode, part.Errors));
        Assert.Equal(_disk, File.ReadAllBytes(_directory["whole"]));
        Assert.Equal(_disk[1024..2560], File.ReadAllBytes(_directory["part"]));
        Assert.StartsWith($"  0000  {string.Join(' ', _disk[..16].Select(value => $"{value:x2}"))}\n", dump.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, DiskBytes)]
    [InlineData(512, (2 << 20) + 1)]
    [InlineData(1 << 20, 100)]
    [InlineData(DiskBytes - 512, 511)]
    [InlineData(DiskBytes, 0)]
    public async Task A_file_is_written_and_the_rest_of_its_last_sector_stays(int offset, int bytes)
    {
        await using VioProcess vio = await ServeAsync();
        byte[] file = new byte[bytes];
        new Random(bytes).NextBytes(file);
        await File.WriteAllBytesAsync(_directory["in"], file, TestContext.Current.CancellationToken);

        Ending write = await RunAsync("write", "--input", _directory["in"], "--offset", $"{offset}");

        Assert.Equal((0, "", ""), (write.ExitCode, write.Output, write.Errors));
        file.CopyTo(_disk, offset);
        Assert.Equal(_disk, File.ReadAllBytes(_directory["disk"]));
    }

    [Fact]
    public async Task A_disk_is_copied_to_another_through_a_pipe()
    {
        await using VioProcess from = await ServeAsync();
        await File.WriteAllBytesAsync(_directory["other"], new byte[DiskBytes], TestContext.Current.CancellationToken);
        await using VioProcess to = await ServeAsync("other", "t");

        await using VioProcess shell = VioProcess.StartProgram("/bin/sh",
            ["-c", $"'{VioProcess.Program}' read blk --socket-path '{_directory["s"]}' | '{VioProcess.Program}' write blk --socket-path '{_directory["t"]}' --input -"]);
        Ending copy = await shell.EndAsync();

        Assert.Equal((0, ""), (copy.ExitCode, copy.Errors));
        Assert.Equal(_disk, File.ReadAllBytes(_directory["other"]));
    }

    [Fact]
    public async Task More_than_there_is_room_for_is_refused_before_anything_is_written()
    {
        await using VioProcess vio = await ServeAsync();
        await File.WriteAllBytesAsync(_directory["in"], new byte[1025], TestContext.Current.CancellationToken);

        Ending write = await RunAsync("write", "--input", _directory["in"], "--offset", $"{DiskBytes - 1024}");

        Refusals.AssertOneLine(write, 1, "1025 bytes, and the disk has 1024 at --offset");
        Assert.Equal(_disk, File.ReadAllBytes(_directory["disk"]));
    }

    [Fact]
    public async Task A_read_only_disk_is_not_written_to()
    {
        await using VioProcess vio = await ServeAsync("disk", "s", "--read-only");

        Refusals.AssertOneLine(await RunAsync("write", "--input", _directory["disk"]), 1, "the disk is read-only");
        Assert.Equal(0, (await RunAsync("read", "--output", _directory["out"])).ExitCode);
    }

    [Theory]
    [InlineData("read --offset 511 --hex", 2, "--offset 511: give a multiple of 512")]
    [InlineData("read --offset -512 --hex", 2, "--offset -512")]
    [InlineData("read --bytes 100 --hex", 2, "--bytes 100: give a multiple of 512")]
    [InlineData("read --offset 4194304 --hex", 1, "--offset 4194304: the disk has 3145728 bytes")]
    [InlineData("read --bytes 4194304 --hex", 1, "--bytes 4194304: the disk has 3145728 at --offset 0")]
    [InlineData("read --hex", 2, "--output FILE")]
    [InlineData("write", 2, "--input FILE")]
    [InlineData("write --input /no/such/file", 1, "--input /no/such/file")]
    [InlineData("write --input /", 1, "--input /")]
    public async Task What_cannot_be_is_said_in_one_line(string command, int exitCode, string about)
    {
        await using VioProcess vio = await ServeAsync();

        Refusals.AssertOneLine(await RunAsync(command.Split(' ')), exitCode, about);
    }

    [Theory]
    [InlineData("read --hex")]
    [InlineData("write --input /dev/zero")]
    public async Task A_daemon_that_claims_more_sectors_than_can_be_is_named(string command)
    {
        using var server = new VhostUserServer(new BoastfulDisk(), UnixListener.Listen(_directory["s"], nonBlocking: true));
        Task serving = Task.Run(server.Run, TestContext.Current.CancellationToken);

        Ending run = await RunAsync(command.Split(' '));

        server.Stop();
        await serving;
        Refusals.AssertOneLine(run, 1, $"the disk says that it has {BoastfulDisk.Sectors} sectors");
    }

    private async Task<VioProcess> ServeAsync(string disk = "disk", string socket = "s", params string[] options)
    {
        VioProcess vio = VioProcess.Start(["serve", "blk", "--socket-path", _directory[socket], "--blk-file", _directory[disk], .. options]);
        await vio.WaitForLogAsync("listening on");
        return vio;
    }

    private Task<Ending> RunAsync(params string[] arguments) => VioProcess.RunAsync([arguments[0], "blk", "--socket-path", _directory["s"], .. arguments[1..]]);

    /// <summary>A block device that claims more bytes than 64 bits can count.</summary>
    private sealed class BoastfulDisk : VirtioDevice
    {
        public const ulong Sectors = (1UL << 55) + 1;

        public override DeviceTraits Traits { get; } = new(DeviceId.Block, Features.None, new QueueTraits("request", MaxSize: 1024)) { ConfigurationSize = BlockConfiguration.Size };

        public override void ReadConfiguration(int offset, Span<byte> destination)
        {
            var space = new BlockConfiguration { Capacity = Sectors };
            MemoryMarshal.AsBytes(new ReadOnlySpan<BlockConfiguration>(in space)).Slice(offset, destination.Length).CopyTo(destination);
        }

        public override void OnChain(int queue, scoped ref DeviceChain chain) => throw new InvalidOperationException("nothing is to be read or written here");
    }
}

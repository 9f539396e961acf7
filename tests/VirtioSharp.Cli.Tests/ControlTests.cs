using System.Runtime.Versioning;
using System.Text;
using System.Text.Json;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Tests;

/// <summary>The control socket of a daemon that runs: what <c>vio ctl</c> gets done, and what others cannot.</summary>
[SupportedOSPlatform("linux")]
public sealed class ControlTests : IDisposable
{
    private const int DiskBytes = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryDirectory _directory = new();

    private string Disk => _directory["disk"];

    private string Control => _directory["ctl"];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("sync")]
    [InlineData("io_uring")]
    [Proves("Configuration change", "vhost-user")]
    public async Task A_disk_is_resized_and_its_driver_knows(string engine)
    {
        await using VioProcess vio = await ServeAsync("--aio", engine);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        driver.Write(0, Filled());

        Assert.Equal((0, "4194304 bytes\n", ""), Parts(await VioProcess.RunAsync("ctl", "resize", "4M", "--control-path", Control)));
        await WaitForCapacityAsync(driver, 4 << 20);
        driver.Write((4 << 20) / 512 - 8, Filled());
        Assert.Equal((0, "65536 bytes\n", ""), Parts(await VioProcess.RunAsync("ctl", "--control-path", Control, "resize", "64K", "--shrink")));
        await WaitForCapacityAsync(driver, 64 << 10);
        byte[] read = new byte[4096];
        driver.Read(0, read);

        Assert.Equal(Filled(), read);
        Assert.Equal(64 << 10, new FileInfo(Disk).Length);
    }

    [Fact]
    public async Task Without_a_size_the_file_is_looked_at_again()
    {
        await using VioProcess vio = await ServeAsync();
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        using (FileStream file = File.Open(Disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(2 * DiskBytes);

        Assert.Equal((0, $"{2 * DiskBytes} bytes\n", ""), Parts(await VioProcess.RunAsync("ctl", "resize", "--control-path", Control)));

        await WaitForCapacityAsync(driver, 2 * DiskBytes);
    }

    [Fact]
    public async Task The_status_is_that_of_the_device_its_front_end_and_its_queues()
    {
        await using VioProcess vio = await ServeAsync("--num-queues", "2");
        using JsonDocument before = await StatusAsync();
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd, new() { MaxQueues = 1 });
        driver.Write(0, Filled());
        driver.Flush();

        using JsonDocument after = await StatusAsync();
        Ending text = await VioProcess.RunAsync("ctl", "status", "--control-path", Control);

        Assert.False(before.RootElement.GetProperty("connected").GetBoolean());
        Assert.Equal("blk", after.RootElement.GetProperty("device").GetString());
        Assert.Equal(Environment.ProcessId, after.RootElement.GetProperty("frontEndProcess").GetInt32());
        Assert.Contains("DriverOk", after.RootElement.GetProperty("status").EnumerateArray().Select(bit => bit.GetString()));
        Assert.Contains(32, after.RootElement.GetProperty("negotiatedFeatures").EnumerateArray().Select(bit => bit.GetInt32()));
        Assert.Equal(DiskBytes, after.RootElement.GetProperty("bytes").GetInt64());
        JsonElement[] queues = [.. after.RootElement.GetProperty("queues").EnumerateArray()];
        Assert.Equal([true, false], queues.Select(queue => queue.GetProperty("running").GetBoolean()));
        Assert.Equal(2, queues[0].GetProperty("chains").GetInt64());
        Assert.Equal(0, queues[0].GetProperty("inFlight").GetInt32());
        Assert.Equal((0, ""), (text.ExitCode, text.Errors));
        Assert.Contains("queue 'request1'", text.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_without_a_size_says_so_and_shows_its_status_all_the_same()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["s"], "--control-path", Control);

        Refusals.AssertOneLine(await VioProcess.RunAsync("ctl", "resize", "1M", "--control-path", Control), 1, "a device 'rng' has no size");
        using JsonDocument status = await StatusAsync();
        Assert.Equal("rng", status.RootElement.GetProperty("device").GetString());
    }

    [Theory]
    [InlineData(1, "no whole number of blocks", "resize", "1000", "--shrink")]
    [InlineData(1, "no whole number of blocks", "resize", "0", "--shrink")]
    [InlineData(1, "524288 bytes are fewer than the disk's 1048576, and what lies behind would be lost; if that is meant, say --shrink", "resize", "512K")]
    [InlineData(2, "--shrink: give the SIZE, too", "resize", "--shrink")]
    [InlineData(1, "file too large", "resize", "8191P")]
    [InlineData(2, "K, M, G, T or P", "resize", "many")]
    public async Task A_size_that_cannot_be_is_told_and_changes_nothing(int exitCode, string part, params string[] command)
    {
        await using VioProcess vio = await ServeAsync();

        Refusals.AssertOneLine(await VioProcess.RunAsync(["ctl", .. command, "--control-path", Control]), exitCode, part);

        Assert.Equal(DiskBytes, new FileInfo(Disk).Length);
    }

    [Fact]
    public async Task A_file_that_has_grown_is_not_cut_because_the_driver_does_not_know_it_yet()
    {
        await using VioProcess vio = await ServeAsync();
        using (FileStream file = File.Open(Disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(4 * DiskBytes);

        Refusals.AssertOneLine(await VioProcess.RunAsync("ctl", "resize", "2M", "--control-path", Control), 1, "say --shrink");

        Assert.Equal(4 * DiskBytes, new FileInfo(Disk).Length);
    }

    [Theory]
    [InlineData("status", "{}")]
    [InlineData("status", "")]
    [InlineData("status", "[1]")]
    [InlineData("status", "null")]
    [InlineData("status", "{\"version\":1,\"ok\":true}")]
    [InlineData("status", "{\"version\":1,\"ok\":1,\"result\":{}}")]
    [InlineData("status", "{\"version\":1,\"ok\":true,\"result\":{\"bytes\":7}}")]
    [InlineData("status", "{\"version\":1,\"ok\":true,\"result\":{\"queues\":[7]}}")]
    [InlineData("status", "{\"version\":1,\"ok\":true,\"result\":{\"queues\":[{\"running\":\"yes\"}]}}")]
    [InlineData("status", "{\"version\":1,\"ok\":true,\"result\":{\"queues\":[],\"queues\":[]}}")]
    [InlineData("status", "{\"version\":1,\"version\":1,\"ok\":true,\"result\":{\"queues\":[]}}")]
    [InlineData("status", "{\"version\":1.5,\"ok\":true,\"result\":{\"queues\":[]}}")]
    [InlineData("resize", "{\"version\":1,\"ok\":true,\"result\":{\"bytes\":\"7\"}}")]
    [InlineData("status", "{\"version\":2,\"ok\":true,\"result\":{}}", "answers in version 2 of the protocol")]
    [InlineData("status", "{\"version\":1,\"ok\":false,\"error\":7}", "says no, and not why")]
    public async Task An_odd_answer_is_one_line(string command, string answer, string part = "what answers there is no 'vio serve'")
    {
        using UnixListener listener = UnixListener.Listen(Control);
        Task answering = Task.Run(() =>
        {
            using UnixSocket socket = listener.Accept()!;
            Assert.NotNull(Hear(socket));
            socket.SendAllWithFds(Encoding.UTF8.GetBytes(answer + "\n"), [], Patience);
        }, TestContext.Current.CancellationToken);

        Refusals.AssertOneLine(await VioProcess.RunAsync("ctl", command, "--control-path", Control), 1, Control, part);

        await answering;
    }

    [Fact]
    public async Task A_disk_that_is_only_read_keeps_its_size()
    {
        await using VioProcess vio = await ServeAsync("--read-only");

        Refusals.AssertOneLine(await VioProcess.RunAsync("ctl", "resize", "2M", "--control-path", Control), 1, "open for reading only");
    }

    [Fact]
    public async Task Where_no_daemon_is_that_is_told()
    {
        Refusals.AssertOneLine(await VioProcess.RunAsync("ctl", "status"), 2, "give --control-path PATH");
        Refusals.AssertOneLine(await VioProcess.RunAsync("ctl", "status", "--control-path", Control), 1, "there is no such socket");
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--socket-path", _directory["s"], "--control-path", ""), 2, "--control-path: the path is empty");
        using (UnixListener.Listen(_directory["mute"]))
        {
            Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--socket-path", _directory["s"], "--control-path", _directory["mute"]), 1,
                $"--control-path {_directory["mute"]}: another program serves this socket");
        }

        Assert.False(File.Exists(_directory["s"]));
    }

    [Fact]
    public async Task The_socket_is_its_owners_alone_and_goes_with_the_daemon_unless_another_took_its_place()
    {
        await using (VioProcess vio = await ServeAsync())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Control));
            await vio.EndByAsync(VioProcess.SigTerm);
        }

        Assert.False(File.Exists(Control));
        await using (VioProcess vio = await ServeAsync())
        {
            File.Delete(Control);
            await File.WriteAllTextAsync(Control, "mine", TestContext.Current.CancellationToken);
            await vio.EndByAsync(VioProcess.SigTerm);
        }

        Assert.True(File.Exists(Control));
    }

    [Theory]
    [InlineData("", "one JSON object")]
    [InlineData("GET / HTTP/1.1", "one JSON object")]
    [InlineData("[1]", "a request is a JSON object")]
    [InlineData("{}", "version is missing")]
    [InlineData("{\"version\":2,\"command\":\"status\"}", "version 2")]
    [InlineData("{\"version\":1,\"command\":\"format\"}", "command 'format'")]
    [InlineData("{\"version\":1,\"command\":7}", "one JSON object")]
    [InlineData("{\"version\":1,\"command\":\"resize\",\"bytes\":-1}", "'bytes' is not known, or not such a value")]
    [InlineData("{\"version\":1,\"command\":\"resize\",\"size\":1}", "'size' is not known")]
    [InlineData("{\"version\":1,\"command\":\"status\",\"bytes\":1}", "'bytes' belongs to resize")]
    [InlineData("{\"version\":1,\"command\":\"resize\",\"bytes\":512}", "say --shrink")]
    [InlineData("{\"version\":1,\"command\":\"resize\",\"shrink\":true}", "'shrink' belongs to a resize")]
    [InlineData("{\"version\":1,\"command\":\"resize\",\"bytes\":512,\"shrink\":1}", "'shrink' is not known, or not such a value")]
    [InlineData("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}", "one JSON object")]
    public async Task Nonsense_is_answered_and_the_connection_lives(string line, string part)
    {
        await using VioProcess vio = await ServeAsync();
        using UnixSocket socket = UnixSocket.Connect(Control);

        string refused = Say(socket, line);
        string done = Say(socket, "{\"version\":1,\"command\":\"status\"}");

        Assert.Contains("\"ok\":false", refused, StringComparison.Ordinal);
        Assert.Contains(part, refused.Replace("\\u0027", "'", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.StartsWith("{\"version\":1,\"ok\":true,\"result\":", done, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_line_without_end_a_crowd_and_one_who_does_not_read_hold_nobody_up()
    {
        await using VioProcess vio = await ServeAsync();
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        using (UnixSocket endless = UnixSocket.Connect(Control))
        {
            endless.SendAllWithFds(Encoding.ASCII.GetBytes(new string('x', 4096)), [], Patience);
            Assert.Contains("at most 4096 bytes", Hear(endless), StringComparison.Ordinal);
            Assert.Null(Hear(endless));
        }

        using (UnixSocket deaf = UnixSocket.Connect(Control, Patience))
        {
            byte[] asks = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("{\"version\":1,\"command\":\"status\"}\n", 50)));
            Assert.ThrowsAny<IOException>(() =>
            {
                for (int i = 0; i < 10_000; i++)
                    deaf.SendAllWithFds(asks, [], Patience); // until we are shown out
            });
        }

        List<UnixSocket> crowd = [];
        for (int i = 0; i < 20; i++)
            crowd.Add(UnixSocket.Connect(Control));
        driver.Write(0, Filled());
        foreach (UnixSocket one in crowd)
            one.Dispose();
        using JsonDocument status = await StatusAsync();
        Assert.Equal(1, status.RootElement.GetProperty("queues")[0].GetProperty("chains").GetInt64());
        Assert.False(vio.HasExited);
    }

    private static string Say(UnixSocket socket, string line)
    {
        socket.SendAllWithFds(Encoding.UTF8.GetBytes(line + "\n"), [], Patience);
        return Hear(socket) ?? "";
    }

    /// <returns>A line; null when the daemon has closed.</returns>
    private static string? Hear(UnixSocket socket)
    {
        using var none = new ReceivedFds(1);
        var line = new List<byte>();
        byte[] one = new byte[1];
        while (true)
        {
            Assert.True(Readiness.WaitReadable(socket.Descriptor, Patience));
            if (socket.ReceiveWithFds(one, none) == 0)
                return null;
            if (one[0] == '\n')
                return Encoding.UTF8.GetString([.. line]);
            line.Add(one[0]);
        }
    }

    private static (int ExitCode, string Output, string Errors) Parts(Ending end) => (end.ExitCode, end.Output, end.Errors);

    private static byte[] Filled()
    {
        byte[] bytes = new byte[4096];
        bytes.AsSpan().Fill(5);
        return bytes;
    }

    private static async Task WaitForCapacityAsync(BlockDriver driver, ulong bytes)
    {
        while (driver.Capacity != bytes / 512)
        {
            driver.CheckConfiguration();
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }

    private async Task<JsonDocument> StatusAsync()
    {
        Ending end = await VioProcess.RunAsync("ctl", "status", "--control-path", Control, "--format", "json");
        Assert.Equal((0, ""), (end.ExitCode, end.Errors));
        return JsonDocument.Parse(end.Output);
    }

    private Task<VioProcess> ServeAsync(params string[] options)
    {
        if (!File.Exists(Disk))
            File.WriteAllBytes(Disk, new byte[DiskBytes]);
        return VioProcess.ServeAsync("blk", _directory["s"], ["--blk-file", Disk, "--control-path", Control, .. options]);
    }

    private VhostUserFrontEnd Connect() => VhostUserFrontEnd.Connect(_directory["s"], DeviceId.Block);
}

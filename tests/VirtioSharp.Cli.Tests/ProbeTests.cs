using System.Diagnostics;
using System.Text.Json;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Tests;

/// <summary><c>vio probe</c> against real daemons: ours, and QEMU's for disks.</summary>
public sealed class ProbeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task What_our_own_daemon_offers_is_named_and_the_daemon_serves_on()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--report", _directory["report"]);

        Ending first = await VioProcess.RunAsync("probe", "--socket-path", _directory["sock"]);
        Ending second = await VioProcess.RunAsync("probe", "--socket-path", _directory["sock"], "--device", "rng");

        Assert.Equal((0, "", first.Output), (first.ExitCode, first.Errors, second.Output));
        Assert.Contains("VERSION_1(32) ACCESS_PLATFORM(33) RING_PACKED(34)", first.Output, StringComparison.Ordinal);
        Assert.Matches(@"queues +│ 1 ", first.Output);
        Assert.Matches(@"memory slots +│ 509 ", first.Output);
        Assert.Matches(@" 15 │ CONFIGURE_MEM_SLOTS +│ memory comes and goes", first.Output);
        Assert.Contains("cannot be read (no CONFIG)", first.Output, StringComparison.Ordinal);
        using JsonDocument report = JsonDocument.Parse(await File.ReadAllTextAsync(_directory["report"], TestContext.Current.CancellationToken));
        Assert.Equal(JsonValueKind.Null, report.RootElement.GetProperty("ended").ValueKind); // a polite good-bye
        Assert.Equal(0, report.RootElement.GetProperty("memoryRegions").GetInt32());
        Assert.False(vio.HasExited);
    }

    [Fact]
    public async Task Features_that_the_command_line_leaves_out_are_not_offered_and_the_device_works_without_them()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--without-virtio", "event-idx,RING_PACKED", "--without-virtio=any-layout");

        Ending probe = await VioProcess.RunAsync("probe", "--socket-path", _directory["sock"]);
        Ending read = await VioProcess.RunAsync("read", "rng", "--socket-path", _directory["sock"], "--bytes", "10000", "--hex");

        Assert.Equal((0, 0), (probe.ExitCode, read.ExitCode));
        Assert.Contains("IN_ORDER(35)", probe.Output, StringComparison.Ordinal);
        Assert.DoesNotMatch("EVENT_IDX|RING_PACKED|ANY_LAYOUT", probe.Output);
    }

    [Fact]
    public async Task For_programs_it_is_one_JSON_object()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--without", "Mq", "--without", "ConfigureMemSlots");

        Ending probe = await VioProcess.RunAsync("probe", "--socket-path", _directory["sock"], "--format", "json");

        Assert.Equal((0, ""), (probe.ExitCode, probe.Errors));
        using JsonDocument json = JsonDocument.Parse(probe.Output);
        var protocol = json.RootElement.GetProperty("protocolFeatures").EnumerateArray().ToDictionary(one => one.GetProperty("bit").GetInt32(), one => one.GetProperty("name").GetString());
        Assert.Equal(("REPLY_ACK", "STATUS"), (protocol[3], protocol[16]));
        Assert.False(protocol.ContainsKey(0) || protocol.ContainsKey(15)); // withheld
        Assert.Contains(json.RootElement.GetProperty("features").EnumerateArray(), one => one.GetProperty("bit").GetInt32() == 34 && one.GetProperty("name").GetString() == "RING_PACKED");
        foreach (string unknown in new[] { "queues", "memorySlots", "maxQueueSize", "configuration" })
            Assert.Equal(JsonValueKind.Null, json.RootElement.GetProperty(unknown).ValueKind);
    }

    [Fact]
    public async Task A_disks_configuration_is_read_whole_and_by_name()
    {
        using Process daemon = StartStorageDaemon();
        try
        {
            Ending named = await VioProcess.RunAsync("probe", "--socket-path", _directory["blk"], "--device", "blk", "--format", "json");
            Ending unnamed = await VioProcess.RunAsync("probe", "--socket-path", _directory["blk"]);

            using JsonDocument json = JsonDocument.Parse(named.Output);
            JsonElement space = json.RootElement.GetProperty("configuration");
            Assert.Equal(60, space.GetProperty("size").GetInt32());
            Assert.Equal("2048", space.GetProperty("fields").GetProperty("capacity").GetString());
            Assert.Equal("3", space.GetProperty("fields").GetProperty("num_queues").GetString());
            Assert.False(space.GetProperty("fields").TryGetProperty("cylinders", out _)); // GEOMETRY is not offered
            Assert.Contains("60 bytes", unnamed.Output, StringComparison.Ordinal); // found without being told
            Assert.Contains("0000  00 08 00 00 00 00 00 00", unnamed.Output, StringComparison.Ordinal);
        }
        finally
        {
            daemon.Kill();
            await daemon.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Nobody_there_is_one_line_that_says_what_to_do()
    {
        Ending missing = await VioProcess.RunAsync("probe", "--socket-path", _directory["none"]);
        await using (VioProcess vio = await VioProcess.ServeRngAsync(_directory["dead"]))
            await vio.EndByAsync(9);
        Ending dead = await VioProcess.RunAsync("probe", "--socket-path", _directory["dead"]);

        Refusals.AssertOneLine(missing, 1, _directory["none"], "no such socket", "vio serve rng --socket-path");
        Refusals.AssertOneLine(dead, 1, _directory["dead"], "nobody listens there");
    }

    [Fact]
    public async Task A_peer_that_talks_something_else_is_one_line_with_the_field()
    {
        using UnixListener listener = UnixListener.Listen(_directory["sock"]);
        Task<Ending> probe = VioProcess.RunAsync("probe", "--socket-path", _directory["sock"]);
        Assert.True(Readiness.WaitReadable(listener.Descriptor, TimeSpan.FromSeconds(30)));
        using UnixSocket peer = listener.Accept()!;
        peer.SendAllWithFds("HTTP/1.1 400 Bad Request\r\n"u8, [], TimeSpan.FromSeconds(30));

        Refusals.AssertOneLine(await probe, 1, "request = 1347703880 in the answer to GET_FEATURES");
    }

    [Theory]
    [InlineData("vio probe --socket-path")]
    [InlineData("vio probe --help", "--socket-path")]
    [InlineData("'blk'", "--device", "toaster", "--socket-path", "s")]
    public async Task What_makes_no_sense_is_a_usage_error(string advice, params string[] arguments) =>
        Refusals.AssertOneLine(await VioProcess.RunAsync(["probe", .. arguments]), 2, advice);

    private Process StartStorageDaemon()
    {
        const string Program = "/usr/bin/qemu-storage-daemon";
        if (!File.Exists(Program))
            Assert.Skip($"{Program} was not found: run 'apt install qemu-system-common'");
        File.WriteAllBytes(_directory["disk"], new byte[1 << 20]);
        Process daemon = Process.Start(Program,
        [
            "--blockdev", $"driver=file,node-name=disk,filename={_directory["disk"]}",
            "--export", $"type=vhost-user-blk,id=e,node-name=disk,num-queues=3,addr.type=unix,addr.path={_directory["blk"]}",
        ]);
        while (!File.Exists(_directory["blk"]) && !daemon.HasExited)
            Thread.Sleep(5);
        return daemon;
    }
}

using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using VirtioSharp.Qemu.Qtest;

namespace VirtioSharp.Cli.Tests;

/// <summary>One request's way through driver, transport and device.</summary>
public sealed class TraceTests
{
    private static readonly string[] Way = ["add to the bus", "match", "read device features", "probe", "find_vqs", "setup_vq", "add", "kick", "notify", "pop", "serve", "push", "interrupt", "handler", "get"];

    [Theory]
    [InlineData("pci")]
    [InlineData("pcilegacy")]
    [InlineData("mmio")]
    [InlineData("mmiolegacy")]
    [InlineData("loopback")]
    public async Task Every_step_of_the_way_is_there_in_its_order(string transport)
    {
        JsonElement[] steps = await TraceAsync(transport);

        AssertInOrder(steps, Way);
        Assert.All(steps, step => Assert.True(step.GetProperty("dur").GetDouble() >= 0));
    }

    [Fact]
    public async Task A_real_VMMs_device_leaves_the_steps_of_the_driver_and_its_traces_in_the_ring()
    {
        Assert.SkipUnless(QtestMachine.CanRun(QtestMachineType.Q35, out string? whyNot), whyNot ?? "");

        JsonElement[] steps = await TraceAsync("qemu");

        AssertInOrder(steps, ["scan the bus", "match", "probe", "setup_vq", "add", "kick", "notify", "handler", "get"]);
        Assert.DoesNotContain("serve", Names(steps));
        Assert.Contains(Details(steps), detail => detail.Contains("used.idx: 0 → 1", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("pci", "common.queue_enable")]
    [InlineData("pci", "MSI-X table")]
    [InlineData("pci", "descriptor ring: desc[0]")]
    [InlineData("pcilegacy", "queue_page")]
    [InlineData("pcilegacy", "driver area: avail.idx: 0 → 1")]
    [InlineData("mmio", "queue_notify")]
    [InlineData("mmio", "interrupt_acknowledge")]
    [InlineData("mmiolegacy", "guest_page_size")]
    public async Task Registers_and_ring_fields_have_their_names(string transport, string expected)
    {
        JsonElement[] steps = await TraceAsync(transport);

        Assert.Contains(Details(steps), detail => detail.Contains(expected, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("pci")]
    [InlineData("pcilegacy")]
    [InlineData("mmio")]
    [InlineData("mmiolegacy")]
    [InlineData("loopback")]
    public async Task A_block_request_shows_header_data_and_status_at_both_ends(string transport)
    {
        JsonElement[] steps = await TraceAsync(transport, "--device", "blk");

        AssertInOrder(steps, Way);
        AssertLines(steps, "add", @"^header 0x[0-9a-f]+ \+16: IN, sector 8$", @"^data 0x[0-9a-f]+ \+512: room for what is read$", @"^status 0x[0-9a-f]+ \+1: 0xff until the device writes it$");
        AssertLines(steps, "pop", "^16 bytes to read, room for 513$", "^IN, sector 8$");
        AssertLines(steps, "serve", "^Block: 513 bytes written$", "^status 0 OK$");
        AssertLines(steps, "get", "^chain 0, 513 bytes written$", @"^data 0x[0-9a-f]+ \+512: 736563746f722038.*… 'sector 8 \.+…'$", @"^status 0x[0-9a-f]+ \+1: 0 OK$");
    }

    [Fact]
    public async Task QEMUs_disk_leaves_what_the_driver_sent_and_got()
    {
        Assert.SkipUnless(QtestMachine.CanRun(QtestMachineType.Q35, out string? whyNot), whyNot ?? "");

        JsonElement[] steps = await TraceAsync("qemu", "--device", "blk");

        AssertLines(steps, "add", "^header .*: IN, sector 8$");
        AssertLines(steps, "get", "^status .*: 0 OK$");
        Assert.DoesNotContain("serve", Names(steps));
    }

    [Theory]
    [InlineData("write", "OUT, sector 8", "add")]
    [InlineData("read", "IN, sector 8", "get")]
    public async Task A_request_to_a_daemon_is_walked_while_the_command_does_its_work(string verb, string header, string stepWithData)
    {
        using var directory = new TemporaryDirectory();
        byte[] disk = new byte[64 << 10], sector = new byte[512];
        "Written by the test "u8.CopyTo(sector);
        if (verb == "read")
            sector.CopyTo(disk, 4096);
        await File.WriteAllBytesAsync(directory["disk"], disk, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(directory["sector"], sector, TestContext.Current.CancellationToken);
        await using VioProcess vio = await VioProcess.ServeAsync("blk", directory["s"], "--blk-file", directory["disk"]);

        Ending trace = await VioProcess.RunAsync(
            ["trace", "--format", "json", "--", verb, "blk", "--socket-path", directory["s"], "--offset", "4096", .. verb == "read" ? (string[])["--bytes", "512"] : ["--input", directory["sector"]]]);

        JsonElement[] steps = Steps(trace);
        AssertInOrder(steps, ["reset", "read device features", "setup_vq", "DRIVER_OK", "add", "kick", "notify", "get"]);
        AssertLines(steps, "add", $"^header .*: {header}$");
        AssertLines(steps, stepWithData, @"^data .* \+512: 5772697474656e20.*… 'Written by the t…'$");
        AssertLines(steps, "get", "^status .*: 0 OK$");
        Assert.Equal(sector, (await File.ReadAllBytesAsync(directory["disk"], TestContext.Current.CancellationToken))[4096..4608]);
    }

    [Fact]
    public async Task The_first_bytes_of_a_daemon_are_walked_for_people_in_their_place()
    {
        using var directory = new TemporaryDirectory();
        await using VioProcess vio = await VioProcess.ServeRngAsync(directory["s"]);

        Ending trace = await VioProcess.RunAsync("trace", "--", "read", "rng", "--socket-path", directory["s"], "--bytes", "64");

        Assert.Equal((0, ""), (trace.ExitCode, trace.Errors));
        Assert.StartsWith("vio read rng ── vhost-user ── daemon: two processes, no VM\n\n    at µs    took  who        step\n", trace.Output, StringComparison.Ordinal);
        Assert.Contains("  get  ", trace.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_doorbell_stands_between_the_register_and_the_device_as_an_ioeventfd_does()
    {
        JsonElement[] steps = await TraceAsync("pci");

        AssertInOrder(steps, ["notify", "register write", "doorbell", "pop"]);
    }

    [Fact]
    public async Task Slices_lie_inside_those_that_contain_them()
    {
        JsonElement[] steps = await TraceAsync("pci");

        (double start, double end) = Slice(steps.First(step => Name(step) == "notify"));
        (double served, double until) = Slice(steps.First(step => Name(step) == "serve"));
        Assert.True(start <= served && until <= end, $"serve {served}–{until} is not in notify {start}–{end}");

        static (double, double) Slice(JsonElement step) =>
            (step.GetProperty("ts").GetDouble(), step.GetProperty("ts").GetDouble() + step.GetProperty("dur").GetDouble());
    }

    [Fact]
    public async Task For_people_there_is_a_tree_a_timeline_and_the_ring_before_and_after()
    {
        Ending trace = await VioProcess.RunAsync("demo", "--trace");

        Assert.Equal((0, ""), (trace.ExitCode, trace.Errors));
        Assert.Contains("├ find_vqs", trace.Output, StringComparison.Ordinal);
        Assert.Contains("§2.7.8", trace.Output, StringComparison.Ordinal);
        Assert.Matches(@"device    │[· ]*█+", trace.Output);
        Assert.Matches(@"desc\[0\] +0 +0x[0-9a-f]+ \+64 WRITE\|AVAILABLE\|USED id 0   ◄", trace.Output);
    }

    [Fact]
    public async Task The_picture_is_well_formed_and_has_a_box_for_each_step()
    {
        Ending trace = await VioProcess.RunAsync("trace", "--format", "svg", "--", "demo", "--transport", "mmio");

        Assert.Equal((0, ""), (trace.ExitCode, trace.Errors));
        XDocument picture = XDocument.Parse(trace.Output);
        Assert.Equal("svg", picture.Root!.Name.LocalName);
        string[] boxes = [.. picture.Descendants().Where(node => node.Name.LocalName == "tspan").Select(node => node.Value)];
        Assert.All(Way, step => Assert.Contains(step, boxes));
    }

    [Theory]
    [InlineData("serve", "serve")]
    [InlineData("demo --transport pigeon", "pigeon")]
    [InlineData("demo --device pigeon", "pigeon")]
    [InlineData("read blk --socket-path s --format json", "read: leave out its --format")]
    [InlineData("read blk --bytes many", "read: Cannot parse argument 'many'")]
    [InlineData("write blk", "give --socket-path PATH")]
    public async Task What_cannot_be_traced_is_a_usage_error(string command, string named)
    {
        Ending trace = await VioProcess.RunAsync(["trace", "--", .. command.Split(' ')]);

        Refusals.AssertOneLine(trace, exitCode: 2, named);
    }

    [Fact]
    public async Task A_picture_without_a_trace_is_a_usage_error() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("demo", "--format", "svg"), exitCode: 2, "--trace");

    private static async Task<JsonElement[]> TraceAsync(string transport, params string[] options) =>
        Steps(await VioProcess.RunAsync(["demo", "--trace", "--format", "json", "--transport", transport, .. options]));

    private static JsonElement[] Steps(Ending trace)
    {
        Assert.Equal((0, ""), (trace.ExitCode, trace.Errors));
        using JsonDocument json = JsonDocument.Parse(trace.Output);
        return [.. json.RootElement.GetProperty("traceEvents").EnumerateArray().Where(step => step.GetProperty("ph").GetString() == "X").Select(step => step.Clone())];
    }

    /// <summary>The last step of that name has lines like these.</summary>
    private static void AssertLines(JsonElement[] steps, string name, params string[] patterns)
    {
        string[] lines = Details([steps.Last(step => Name(step) == name)]);
        Assert.All(patterns, pattern => Assert.Contains(lines, line => Regex.IsMatch(line, pattern)));
    }

    private static void AssertInOrder(JsonElement[] steps, string[] expected)
    {
        int next = 0;
        foreach (string name in Names(steps))
        {
            if (next < expected.Length && name == expected[next])
                next++;
        }

        Assert.True(next == expected.Length, $"'{(next < expected.Length ? expected[next] : "")}' is missing, or too early, in: {string.Join(", ", Names(steps))}");
    }

    private static string[] Names(JsonElement[] steps) => [.. steps.Select(Name)];

    private static string Name(JsonElement step) => step.GetProperty("name").GetString()!;

    private static string[] Details(JsonElement[] steps) =>
        [.. steps.SelectMany(step => step.GetProperty("args").GetProperty("details").EnumerateArray()).Select(detail => detail.GetString()!)];
}

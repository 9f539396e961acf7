using System.Text.Json;

namespace VirtioSharp.Check.Tests;

/// <summary>The command: what it prints, and what it ends with.</summary>
public sealed class CommandTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string SocketPath => _directory["sock"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Each_row_says_what_is_required_where_it_stands_and_what_was_seen()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);

        Ending check = await VioProcess.RunAsync("check", "--socket-path", SocketPath, "--device", "rng", "--case", "reply-get-features", "--case", "chain-loop");

        Assert.Equal((0, ""), (check.ExitCode, check.Errors));
        Assert.Matches(@"(?m)^  PASS  reply-get-features +0x[0-9a-f]+, flags 0x5$", check.Output);
        Assert.Contains("The reply carries a u64, and its flags are exactly 0x5", check.Output, StringComparison.Ordinal);
        Assert.Contains("(vhost-user, Header; GET_FEATURES)", check.Output, StringComparison.Ordinal);
        Assert.EndsWith("\n4 passed, 0 failed, 0 skipped\n", check.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task For_programs_the_result_is_one_JSON_object()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);

        Ending check = await VioProcess.RunAsync("check", "--socket-path", SocketPath, "--case", "reply-", "--format", "json");

        Assert.Equal((0, ""), (check.ExitCode, check.Errors));
        using JsonDocument json = JsonDocument.Parse(check.Output);
        JsonElement[] rows = [.. json.RootElement.GetProperty("cases").EnumerateArray()];
        Assert.Equal(rows.Length, json.RootElement.GetProperty("passed").GetInt32() + json.RootElement.GetProperty("skipped").GetInt32());
        Assert.Contains(rows, row => row.GetProperty("case").GetString() == "reply-get-vring-base" && row.GetProperty("verdict").GetString() == "Pass");
    }

    [Fact]
    public async Task Without_a_device_the_rows_that_need_one_say_so()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);

        Ending check = await VioProcess.RunAsync("check", "--socket-path", SocketPath, "--case", "ring-split-full");
        Ending other = await VioProcess.RunAsync("check", "--socket-path", SocketPath, "--case", "ring-split-full", "--device", "gpu");

        Assert.Equal((0, 0), (check.ExitCode, other.ExitCode));
        Assert.Contains("SKIP  ring-split-full", check.Output, StringComparison.Ordinal);
        Assert.Contains("--device rng or blk", check.Output, StringComparison.Ordinal);
        Assert.Contains("requests to a gpu device are not known here", other.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failure_is_exit_code_1()
    {
        using var daemon = new Support.MiniDaemon(Support.Fault.ShortBaseReply);

        Ending check = await VioProcess.RunAsync("check", "--socket-path", daemon.SocketPath, "--case", "reply-get-vring-base");

        Assert.Equal((1, ""), (check.ExitCode, check.Errors));
        Assert.Contains("FAIL  reply-get-vring-base", check.Output, StringComparison.Ordinal);
    }

    [Fact]
    [Runs("artifacts/vio/vio check --device rng --exec 'artifacts/vio/vio serve rng --socket-path {socket}'")]
    public async Task The_daemon_can_be_started_by_the_check()
    {
        Ending check = await VioProcess.RunAsync("check", "--device", "rng", "--exec", $"'{VioProcess.Program}' serve rng --socket-path {{socket}}");

        Assert.Equal((0, ""), (check.ExitCode, check.Errors));
        Assert.Contains("PASS  ring-split", check.Output, StringComparison.Ordinal);
        Assert.Contains(" passed, 0 failed, ", check.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_check_that_is_ended_leaves_neither_its_daemon_nor_its_directory_behind()
    {
        string script = _directory["daemon"], id = _directory["id"];
        await File.WriteAllTextAsync(script, $"echo $$ > '{id}.new'; mv '{id}.new' '{id}'; exec '{VioProcess.Program}' serve rng --socket-path $1", TestContext.Current.CancellationToken);
        await using VioProcess check = VioProcess.StartProgram("/usr/bin/env",
            [$"TMPDIR={_directory.Path}", VioProcess.Program, "check", "--device", "rng", "--exec", $"/bin/sh '{script}' {{socket}}"]);
        while (!File.Exists(id) && !check.HasExited)
            await Task.Delay(10, TestContext.Current.CancellationToken);
        int daemon = int.Parse(await File.ReadAllTextAsync(id, TestContext.Current.CancellationToken), System.Globalization.CultureInfo.InvariantCulture);
        Assert.Single(Directory.GetDirectories(_directory.Path, "vio-*"));

        Ending ending = await check.EndByAsync(VioProcess.SigTerm);

        Assert.Equal((128 + VioProcess.SigTerm, ""), (ending.ExitCode, ending.Errors));
        Assert.Matches(@"\n[0-9]+ passed, 0 failed, [0-9]+ skipped\n$", ending.Output);
        Assert.Empty(Directory.GetDirectories(_directory.Path, "vio-*"));
        Assert.False(Directory.Exists($"/proc/{daemon}"));
    }

    [Fact]
    public async Task What_lies_at_the_sockets_path_and_is_no_socket_stays_there()
    {
        await File.WriteAllTextAsync(SocketPath, "mine", TestContext.Current.CancellationToken);

        Ending check = await VioProcess.RunAsync("check", "--socket-path", SocketPath, "--device", "rng", "--exec", "true");

        Assert.Equal((2, ""), (check.ExitCode, check.Output));
        Assert.Contains("is not a socket", Assert.Single(check.Errors.TrimEnd().Split('\n')), StringComparison.Ordinal);
        using var daemon = new DaemonCommand("true", SocketPath);
        Assert.Throws<UnreachableException>(daemon.Start);
        Assert.Equal("mine", await File.ReadAllTextAsync(SocketPath, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task In_a_document_the_result_is_tables()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);

        Ending check = await VioProcess.RunAsync("check", "--socket-path", SocketPath, "--device", "rng", "--case", "ring-split", "--format", "markdown");

        Assert.Equal((0, ""), (check.ExitCode, check.Errors));
        Assert.StartsWith("3 passed, 0 failed, 0 skipped.\n\n## Rings\n", check.Output, StringComparison.Ordinal);
        Assert.Contains("\n| PASS | `ring-split` | ", check.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3, "no socket is there", "--socket-path", "/tmp/vio-no-such-directory/sock")]
    [InlineData(3, "the daemon died (exit code 7)", "--exec", "sh -c 'exit 7'")]
    [InlineData(2, "--socket-path", "--device", "rng")]
    [InlineData(2, "--device hamster", "--socket-path", "/tmp/s", "--device", "hamster")]
    [InlineData(2, "--case no-such-case", "--socket-path", "/tmp/s", "--case", "no-such-case")]
    [InlineData(2, "--timeout 0", "--socket-path", "/tmp/s", "--timeout", "0")]
    public async Task What_cannot_be_done_is_one_line(int exitCode, string said, params string[] arguments)
    {
        Ending check = await VioProcess.RunAsync(["check", .. arguments]);

        Assert.Equal((exitCode, ""), (check.ExitCode, check.Output));
        Assert.Contains(said, Assert.Single(check.Errors.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_list_in_the_documents_is_the_list_of_the_command()
    {
        if (Checkout.Root is null)
            Assert.Skip($"there is no source tree above {AppContext.BaseDirectory}");

        Ending list = await VioProcess.RunAsync("check", "--list", "--format", "markdown");

        Assert.Equal((0, ""), (list.ExitCode, list.Errors));
        Assert.Equal(File.ReadAllText(Path.Combine(Checkout.Root, "docs/check.md")), list.Output);
    }

    [Fact]
    public void Names_are_unique_and_every_row_has_a_rule_and_a_source()
    {
        Assert.Empty(CheckList.All.GroupBy(one => one.Name).Where(same => same.Count() > 1).Select(same => same.Key));
        Assert.All(CheckList.All, one => Assert.Matches("^[a-z0-9-]+$", one.Name));
        Assert.All(CheckList.All, one => Assert.EndsWith(".", one.Requirement, StringComparison.Ordinal));
        Assert.All(CheckList.All, one => Assert.NotEmpty(one.Source));
    }
}

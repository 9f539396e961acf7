using System.Runtime.Versioning;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Tests;

/// <summary>Asked rightly, but it cannot be done: exit code 1, and one line that says what to do.</summary>
[SupportedOSPlatform("linux")]
public sealed class FailureTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_socket_that_somebody_serves_is_left_alone()
    {
        await using VioProcess first = await VioProcess.ServeRngAsync(_directory["sock"]);

        Ending second = await ServeAsync("sock");

        Refusals.AssertOneLine(second, 1, _directory["sock"], "another program serves this socket");
        Assert.True(File.Exists(_directory["sock"]));
        UnixSocket.Connect(_directory["sock"]).Dispose();
        await first.WaitForLogAsync("front-end connected");
    }

    [Fact]
    public async Task A_missing_directory_is_not_made() =>
        Refusals.AssertOneLine(await ServeAsync("missing/sock"), 1, _directory["missing/sock"], "the directory does not exist");

    [Fact]
    public async Task A_file_is_no_directory()
    {
        File.WriteAllText(_directory["file"], "");

        Refusals.AssertOneLine(await ServeAsync("file/sock"), 1, _directory["file/sock"], "the directory does not exist");
    }

    [Fact]
    public async Task A_path_that_is_too_long_is_told_so()
    {
        Refusals.AssertOneLine(await ServeAsync(new string('s', 120)), 1, "--socket-path", "107");
    }

    [Fact]
    public async Task A_file_that_is_no_socket_is_not_replaced()
    {
        File.WriteAllText(_directory["precious"], "data");

        Ending run = await ServeAsync("precious");

        Refusals.AssertOneLine(run, 1, _directory["precious"], "not a socket");
        Assert.Equal("data", File.ReadAllText(_directory["precious"]));
    }

    [Fact]
    public async Task A_directory_without_permission_is_told_so()
    {
        File.SetUnixFileMode(_directory.Path, UnixFileMode.UserRead | UnixFileMode.UserExecute);

        Ending run = Environment.IsPrivilegedProcess
            ? await PlainRoot.RunAsync("serve", "rng", "--socket-path", _directory["sock"])
            : await ServeAsync("sock");

        Refusals.AssertOneLine(run, 1, _directory["sock"], "no permission");
    }

    [Fact]
    public async Task A_descriptor_that_is_not_open_is_told_so() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--fd", "987"), 1, "--fd 987", "no such open file descriptor");

    [Fact]
    public async Task A_descriptor_that_is_no_socket_is_told_so()
    {
        using FileDescriptor file = MemFd.Create("not-a-socket", 4096);

        await using VioProcess vio = VioProcess.StartProgram(VioProcess.Program, ["serve", "rng", "--fd", $"{file.Number}"], file.Number);

        Refusals.AssertOneLine(await vio.EndAsync(), 1, $"--fd {file.Number}", "not a socket");
    }

    [Fact]
    public async Task A_source_that_does_not_exist_is_told_so()
    {
        Ending run = await ServeAsync("sock", "--rng-source", _directory["missing"]);

        Refusals.AssertOneLine(run, 1, $"--rng-source {_directory["missing"]}");
        Assert.False(File.Exists(_directory["sock"]));
    }

    [Fact]
    public async Task A_directory_is_no_source() =>
        Refusals.AssertOneLine(await ServeAsync("sock", "--rng-source", _directory.Path), 1, $"--rng-source {_directory.Path}", "directory");

    [Fact]
    public async Task A_report_that_could_not_be_written_is_told_before_it_matters()
    {
        Ending run = await ServeAsync("sock", "--report", _directory["missing/report.json"]);

        Refusals.AssertOneLine(run, 1, $"--report {_directory["missing/report.json"]}");
        Assert.False(File.Exists(_directory["sock"]));
    }

    private Task<Ending> ServeAsync(string socket, params string[] options) =>
        VioProcess.RunAsync(["serve", "rng", "--socket-path", _directory[socket], .. options]);
}

using System.Text.Json;

namespace VirtioSharp.Cli.Tests;

/// <summary><c>vio read rng</c> against a real <c>vio serve rng</c>: two processes, one driver, no VM.</summary>
[Proves("Entropy driver", "vhost-user")]
[Proves("Front-end for drivers", "vhost-user")]
public sealed class ReadTests : IDisposable
{
    private const int Size = 300_000;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _source = new byte[1 << 20];

    public ReadTests()
    {
        new Random(9).NextBytes(_source);
        File.WriteAllBytes(_directory["source"], _source);
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_daemons_bytes_are_in_the_file_as_they_are()
    {
        await using VioProcess vio = await ServeAsync();

        Ending read = await ReadAsync("--bytes", $"{Size}", "--output", _directory["out"]);

        Assert.Equal((0, "", ""), (read.ExitCode, read.Output, read.Errors));
        AssertIsOfTheSource(await File.ReadAllBytesAsync(_directory["out"], TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("-")]
    [InlineData(null)]
    public async Task Or_they_are_piped(string? output)
    {
        await using VioProcess vio = await ServeAsync();
        string to = output is null ? "" : $"--output {output} ";

        await using VioProcess shell = VioProcess.StartProgram("/bin/sh",
            ["-c", $"'{VioProcess.Program}' read rng --socket-path '{_directory["sock"]}' --bytes {Size} {to}> '{_directory["out"]}'"]);
        Ending read = await shell.EndAsync();

        Assert.Equal((0, ""), (read.ExitCode, read.Errors));
        AssertIsOfTheSource(await File.ReadAllBytesAsync(_directory["out"], TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task People_get_a_dump_and_programs_JSON()
    {
        await using VioProcess vio = await ServeAsync();

        Ending dump = await ReadAsync("--bytes", "20", "--hex");
        Ending json = await ReadAsync("--bytes", "20", "--format", "json");

        Assert.Matches(@"^  0000  ([0-9a-f]{2} ){15}[0-9a-f]{2}\n  0010  ([0-9a-f]{2} ){3}[0-9a-f]{2}\n$", dump.Output);
        using JsonDocument result = JsonDocument.Parse(json.Output);
        Assert.Equal(20, result.RootElement.GetProperty("bytes").GetInt32());
        Assert.Equal(40, result.RootElement.GetProperty("data").GetString()!.Length);
    }

    [Fact]
    [Runs("artifacts/vio/vio serve rng --socket-path rng.sock &")]
    [Runs("artifacts/vio/vio probe --socket-path rng.sock")]
    [Runs("artifacts/vio/vio read rng --socket-path rng.sock --bytes 64 --hex")]
    public async Task The_READMEs_commands_run_as_they_stand_there()
    {
        Directory.CreateDirectory(_directory["artifacts"]);
        Directory.CreateSymbolicLink(_directory["artifacts/vio"], AppContext.BaseDirectory);

        await using VioProcess shell = VioProcess.StartProgram("/bin/sh", ["-c", $"""
            cd '{_directory.Path}'
            artifacts/vio/vio serve rng --socket-path rng.sock &
            trap "kill $!; wait" EXIT
            while [ ! -S rng.sock ]; do kill -0 $! && sleep 0.05 || exit; done
            artifacts/vio/vio probe --socket-path rng.sock
            artifacts/vio/vio read rng --socket-path rng.sock --bytes 64 --hex
            """]);

        Ending run = await shell.EndAsync();
        Assert.Contains("RING_PACKED(34)", run.Output, StringComparison.Ordinal);
        Assert.Matches(@"\n  0030  ([0-9a-f]{2} ){15}[0-9a-f]{2}\n$", run.Output);
    }

    [Fact]
    [Proves("Reconnect", "vhost-user")]
    public async Task A_daemon_that_is_killed_in_the_middle_and_started_again_is_read_on()
    {
        string[] slow = ["--max-bytes", "40000", "--period", "100"];
        await using VioProcess first = await ServeAsync(slow);
        await using VioProcess reader = VioProcess.Start("read", "rng", "--socket-path", _directory["sock"], "--bytes", $"{Size}", "--output", _directory["out"], "--reconnect", "30");
        while (new FileInfo(_directory["out"]) is not { Exists: true, Length: > 0 } && !reader.HasExited)
            await Task.Delay(5, TestContext.Current.CancellationToken);

        first.Signal(9);
        await first.EndAsync();
        await using VioProcess second = await ServeAsync();

        Ending read = await reader.EndAsync();
        Assert.Equal(0, read.ExitCode);
        byte[] bytes = await File.ReadAllBytesAsync(_directory["out"], TestContext.Current.CancellationToken);
        Assert.Equal(Size, bytes.Length);
        int at = StartOf(bytes);
        Assert.Equal(_source.AsSpan(at, 4096), bytes.AsSpan(0, 4096)); // of the first daemon
        Assert.True(_source.AsSpan().IndexOf(bytes.AsSpan(^1000)) >= 0); // of the second, which began the source anew
    }

    [Fact]
    public async Task Without_that_a_daemon_that_is_killed_is_one_line()
    {
        await using VioProcess vio = await ServeAsync("--max-bytes", "1000", "--period", "1000");
        await using VioProcess reader = VioProcess.Start("read", "rng", "--socket-path", _directory["sock"], "--bytes", $"{Size}", "--output", _directory["out"]);
        await vio.WaitForLogAsync("driver");

        vio.Signal(9);

        Refusals.AssertOneLine(await reader.EndAsync(), 1, _directory["sock"], "has closed the connection");
    }

    [Fact]
    public async Task A_file_without_a_name_is_said_in_one_line() =>
        Refusals.AssertOneLine(await ReadAsync("--bytes", "10", "--output", ""), 2, "--output");

    [Theory]
    [InlineData("--bytes 0", 2, "--bytes 0")]
    [InlineData("--bytes many", 2, "many")]
    [InlineData("", 2, "--bytes 0: give 1 or more")]
    [InlineData("--bytes 10 --hex --output x", 2, "--hex")]
    [InlineData("--bytes 10 --reconnect -1", 2, "--reconnect -1")]
    [InlineData("--bytes 2000000 --hex", 2, "give --output FILE")]
    [InlineData("--bytes 10 --output /no/such/place", 1, "--output /no/such/place")]
    [InlineData("--bytes 10 --output /dev/full", 1, "--output /dev/full")]
    public async Task What_cannot_be_is_said_in_one_line(string options, int exitCode, string about)
    {
        await using VioProcess vio = await ServeAsync();

        Refusals.AssertOneLine(await ReadAsync(options.Split(' ', StringSplitOptions.RemoveEmptyEntries)), exitCode, about);
    }

    private Task<VioProcess> ServeAsync(params string[] options) =>
        VioProcess.ServeRngAsync(_directory["sock"], ["--rng-source", _directory["source"], .. options]);

    private Task<Ending> ReadAsync(params string[] options) => VioProcess.RunAsync(["read", "rng", "--socket-path", _directory["sock"], .. options]);

    /// <summary>Where in the source it begins: what came before the first read, as a seed, is the front of it.</summary>
    private int StartOf(byte[] bytes)
    {
        int at = _source.AsSpan().IndexOf(bytes.AsSpan(0, 64));
        Assert.InRange(at, 0, 32);
        return at;
    }

    private void AssertIsOfTheSource(byte[] bytes)
    {
        Assert.Equal(Size, bytes.Length);
        int at = StartOf(bytes);
        Assert.True(_source.AsSpan(at, Size).SequenceEqual(bytes));
    }
}

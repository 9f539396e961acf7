using System.Diagnostics;
using System.Text.Json;
using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Drivers.Rng;

namespace VirtioSharp.Cli.Tests;

/// <summary>The entropy device's own options, and the report, through the real program.</summary>
public sealed class RngOptionTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryDirectory _directory = new();

    private string SocketPath => _directory["sock"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_source_file_is_served_byte_for_byte_and_then_the_driver_waits()
    {
        byte[] source = new byte[5000];
        new Random(5000).NextBytes(source);
        File.WriteAllBytes(_directory["source"], source);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--rng-source", _directory["source"]);
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);

        byte[] bytes = new byte[5000];
        driver.Read(bytes, Patience);

        Assert.Equal(source, bytes);
        Assert.Equal(0, driver.Read(new byte[1], TimeSpan.FromMilliseconds(300)));
        File.AppendAllText(_directory["source"], "more");
        Assert.Equal(4, driver.Read(bytes.AsSpan(0, 4), Patience));
        Assert.Equal("more"u8, bytes.AsSpan(0, 4));
    }

    [Fact]
    public async Task A_limit_gives_so_many_bytes_in_the_first_period_and_no_more()
    {
        // A period that no test waits for: what comes is the first period's.
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--max-bytes", "1000", "--period", "3600000");
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);

        Assert.Equal(1000, driver.Read(new byte[1000], Patience));
        Assert.Equal(0, driver.Read(new byte[1], TimeSpan.FromMilliseconds(300)));
    }

    [Fact]
    public async Task A_limit_starts_anew_with_each_period()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--max-bytes", "1000", "--period", "200");
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);
        long start = Stopwatch.GetTimestamp();

        int read = driver.Read(new byte[3500], Patience);

        Assert.Equal(3500, read);
        // Three times it had to wait for a new period; slowness only adds to that.
        Assert.True(Stopwatch.GetElapsedTime(start) >= TimeSpan.FromMilliseconds(550));
    }

    [Fact]
    public async Task A_report_is_written_when_a_front_end_has_left()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--report", _directory["report.json"]);
        using (VhostUserTransport transport = VhostUserTransport.Connect(SocketPath))
        using (var driver = new RngDriver(transport))
            driver.Read(new byte[640], Patience);
        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);

        using JsonDocument report = JsonDocument.Parse(File.ReadAllText(_directory["report.json"]));

        JsonElement queue = report.RootElement.GetProperty("queues")[0];
        Assert.Equal("Entropy", report.RootElement.GetProperty("device").GetString());
        Assert.Equal(1, report.RootElement.GetProperty("messages").GetProperty("SET_MEM_TABLE").GetInt32());
        Assert.Equal(256, queue.GetProperty("size").GetInt32());
        Assert.InRange(queue.GetProperty("counts").GetProperty("bytesWritten").GetInt64(), 640, 640 + 64);
        Assert.Equal(JsonValueKind.Null, report.RootElement.GetProperty("ended").ValueKind);
        Assert.Equal([_directory["report.json"]], Directory.GetFiles(_directory.Path, "report*"));
    }

    [Fact]
    public async Task A_report_that_cannot_be_written_any_more_costs_nobody_the_device()
    {
        Directory.CreateDirectory(_directory["reports"]);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--report", _directory["reports/report.json"]);
        Directory.Delete(_directory["reports"]);
        using (VhostUserTransport.Connect(SocketPath))
            await vio.WaitForLogAsync("front-end connected");
        await vio.WaitForLogAsync($"--report {_directory["reports/report.json"]}");

        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);

        Assert.Equal(100, driver.Read(new byte[100], Patience));
    }

    [Fact]
    public async Task Busy_polling_serves_the_same_bytes()
    {
        byte[] source = new byte[50_000];
        new Random(1).NextBytes(source);
        File.WriteAllBytes(_directory["source"], source);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--busy-poll", "100", "--rng-source", _directory["source"]);
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);

        byte[] bytes = new byte[50_000];
        driver.Read(bytes, Patience);

        Assert.Equal(source, bytes);
    }
}

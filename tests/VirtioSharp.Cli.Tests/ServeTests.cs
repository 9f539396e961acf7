using System.Diagnostics;
using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Tests;

/// <summary>The life of a daemon: a socket appears, front-ends come and go, a signal ends it and the socket is gone.</summary>
public sealed class ServeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string SocketPath => _directory["sock"];

    public static TheoryData<int> Signals => [VioProcess.SigTerm, VioProcess.SigInt];

    public void Dispose() => _directory.Dispose();

    [Fact]
    [Proves("Entropy device", "vhost-user")]
    public async Task Our_driver_reads_from_the_daemon_without_a_VM()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport, bufferSize: 4096);

        byte[] bytes = new byte[100_000];
        int read = driver.Read(bytes, TimeSpan.FromSeconds(30));

        Assert.Equal(bytes.Length, read);
        Assert.All(bytes.Chunk(1000), chunk => Assert.Contains(chunk, value => value != 0));
    }

    [Fact]
    public async Task One_front_end_after_the_other_is_served()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        for (int i = 0; i < 3; i++)
        {
            using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
            using var driver = new RngDriver(transport);

            Assert.Equal(100, driver.Read(new byte[100], TimeSpan.FromSeconds(30)));
        }

        await vio.WaitForLogAsync("front-end left", times: 3);
    }

    [Theory]
    [MemberData(nameof(Signals))]
    public async Task A_signal_ends_it_and_the_socket_is_gone(int signal)
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        Assert.True(File.Exists(SocketPath));

        await AssertSignalEndsAsync(vio, signal);
    }

    [Theory]
    [MemberData(nameof(Signals))]
    public async Task A_signal_ends_it_while_a_driver_is_at_work(int signal)
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);
        driver.Read(new byte[100], TimeSpan.FromSeconds(30));

        await AssertSignalEndsAsync(vio, signal);
    }

    [Theory]
    [MemberData(nameof(Signals))]
    public async Task A_signal_ends_it_as_soon_as_its_socket_is_there(int signal)
    {
        for (int i = 0; i < 3; i++)
        {
            await using VioProcess vio = VioProcess.Start("serve", "rng", "--socket-path", SocketPath);
            while (!File.Exists(SocketPath) && !vio.HasExited)
                Thread.SpinWait(100);

            Ending end = await vio.EndByAsync(signal);

            Assert.Equal(0, end.ExitCode);
            Assert.False(File.Exists(SocketPath));
        }
    }

    [Fact]
    public async Task The_socket_of_a_daemon_that_was_killed_is_replaced()
    {
        await using (VioProcess killed = await VioProcess.ServeRngAsync(SocketPath))
            await killed.EndByAsync(9);
        Assert.True(File.Exists(SocketPath));

        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);

        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);
        Assert.Equal(100, driver.Read(new byte[100], TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_socket_file_that_another_put_in_its_place_is_not_removed()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        File.Delete(SocketPath);
        using UnixListener other = UnixListener.Listen(SocketPath);

        Ending end = await vio.EndByAsync(VioProcess.SigTerm);

        Assert.Equal(0, end.ExitCode);
        Assert.True(File.Exists(SocketPath));
    }

    [Fact]
    public async Task A_front_end_that_talks_nonsense_is_shown_out_and_the_next_is_served()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        using (UnixSocket rude = UnixSocket.Connect(SocketPath))
        {
            rude.SendAllWithFds("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8, [], TimeSpan.FromSeconds(30));
            await vio.WaitForLogAsync("connection closed: ");
        }

        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);
        Assert.Equal(100, driver.Read(new byte[100], TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task Logs_go_to_standard_error_and_standard_output_stays_clean()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--log-level", "Debug");
        using (VhostUserTransport transport = VhostUserTransport.Connect(SocketPath))
        using (var driver = new RngDriver(transport))
            driver.Read(new byte[100], TimeSpan.FromSeconds(30));
        await vio.WaitForLogAsync("front-end left");

        Ending end = await vio.EndByAsync(VioProcess.SigTerm);

        Assert.Equal("", end.Output);
        Assert.Contains("SET_VRING_KICK, 8 bytes, 1 fds", end.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task At_the_usual_level_single_messages_are_not_logged()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        using (VhostUserTransport.Connect(SocketPath))
            await vio.WaitForLogAsync("front-end connected");
        await vio.WaitForLogAsync("front-end left");

        Assert.DoesNotContain("GET_FEATURES", vio.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Idle_it_takes_no_processor_time()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        using VhostUserTransport transport = VhostUserTransport.Connect(SocketPath);
        using var driver = new RngDriver(transport);
        driver.Read(new byte[100], TimeSpan.FromSeconds(30));
        using Process process = Process.GetProcessById(vio.Id);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        process.Refresh();
        TimeSpan before = process.TotalProcessorTime;

        await Task.Delay(1000, TestContext.Current.CancellationToken);

        process.Refresh();
        TimeSpan used = process.TotalProcessorTime - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{used.TotalMilliseconds} ms of processor time in one idle second");
        Assert.True(used < TimeSpan.FromMilliseconds(300), $"{used} of processor time in one idle second");
    }

    private async Task AssertSignalEndsAsync(VioProcess vio, int signal)
    {
        long start = Stopwatch.GetTimestamp();

        Ending end = await vio.EndByAsync(signal);

        TestContext.Current.TestOutputHelper?.WriteLine($"ended {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms after signal {signal}");
        Assert.Equal((0, ""), (end.ExitCode, end.Output));
        Assert.DoesNotContain("Exception", end.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(SocketPath));
    }
}

using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Tests;

/// <summary><c>--fd</c>: a manager (libvirt, systemd, a shell) has made the socket and passes it on.</summary>
public sealed class InheritedSocketTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_listening_socket_serves_one_front_end_after_the_other()
    {
        using UnixListener listener = UnixListener.Listen(_directory["sock"]);
        await using VioProcess vio = ServeFd(listener.Descriptor);
        for (int i = 0; i < 2; i++)
        {
            using VhostUserTransport transport = VhostUserTransport.Connect(_directory["sock"]);
            using var driver = new RngDriver(transport);
            Assert.Equal(100, driver.Read(new byte[100], TimeSpan.FromSeconds(30)));
        }

        Ending end = await vio.EndByAsync(VioProcess.SigTerm);

        Assert.Equal(0, end.ExitCode);
        Assert.True(File.Exists(_directory["sock"]), "the socket's file is its creator's");
    }

    [Fact]
    public async Task A_connection_is_served_and_its_end_is_the_end()
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        await using VioProcess vio = ServeFd(theirs.Descriptor);
        theirs.Dispose();
        using (var transport = new VhostUserTransport(ours))
        using (var driver = new RngDriver(transport))
            Assert.Equal(100, driver.Read(new byte[100], TimeSpan.FromSeconds(30)));

        Ending end = await vio.EndAsync();

        Assert.Equal((0, ""), (end.ExitCode, end.Output));
        Assert.Contains("front-end left", end.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_signal_ends_it_while_its_only_connection_lives()
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        await using VioProcess vio = ServeFd(theirs.Descriptor);
        theirs.Dispose();
        using var transport = new VhostUserTransport(ours);
        using var driver = new RngDriver(transport);

        Ending end = await vio.EndByAsync(VioProcess.SigTerm);

        Assert.Equal(0, end.ExitCode);
    }

    private static VioProcess ServeFd(FileDescriptor socket) =>
        VioProcess.StartProgram(VioProcess.Program, ["serve", "rng", "--fd", $"{socket.Number}"], socket.Number);
}

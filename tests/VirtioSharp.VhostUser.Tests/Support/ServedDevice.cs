using System.Collections.Concurrent;
using VirtioSharp.Core.Device;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A server on a thread of its own, at a socket of its own. Disposing it stops it, and shows what it died of if it did.</summary>
internal sealed class ServedDevice : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly BlockingCollection<SessionReport> _reports = [];
    private readonly VhostUserServer _server;
    private readonly Thread _thread;
    private readonly UnixSocket? _theirs;
    private Exception? _death;

    /// <param name="device">An entropy device when null.</param>
    /// <param name="options">The server's.</param>
    /// <param name="overPair">Whether it serves one connection that is already there, in place of a path.</param>
    public ServedDevice(VirtioDevice? device = null, VhostUserOptions? options = null, bool overPair = false)
    {
        device ??= new RngDevice();
        if (overPair)
        {
            (UnixSocket ours, _theirs) = UnixSocket.Pair();
            _server = new VhostUserServer(device, ours, options, Log);
        }
        else
        {
            _server = new VhostUserServer(device, UnixListener.Listen(SocketPath), options, Log);
        }

        _server.SessionEnded = _reports.Add;
        _thread = new Thread(Run) { Name = "vhost-user server", IsBackground = true };
        _thread.Start();
    }

    public CapturedLog Log { get; } = new();

    public string SocketPath => _directory["s"];

    /// <summary>A front-end's connection.</summary>
    public FrontEnd Connect() => new(_theirs ?? UnixSocket.Connect(SocketPath));

    /// <summary>The report of the next session that has ended.</summary>
    public SessionReport NextReport() =>
        _reports.TryTake(out SessionReport? report, Patience.Limit) ? report : throw new TimeoutException("no session has ended");

    /// <summary>Throws away what was kept, so that it does not count as growth.</summary>
    public void Forget()
    {
        Log.Clear();
        while (_reports.TryTake(out _))
        {
        }
    }

    /// <summary>Runs a whole good session: handshake, a request, good-bye.</summary>
    public void AssertServesNext()
    {
        using (FrontEnd frontEnd = Connect())
        using (var ram = new GuestRam())
        using (var ring = new GuestRing(ram))
        {
            frontEnd.Start(ram, ring);
            ring.AssertServes();
        }

        Assert.Null(NextReport().Ended);
    }

    public void Stop() => _server.Stop();

    /// <summary>Waits until the server's thread has ended.</summary>
    public void AssertEnds() => Assert.True(_thread.Join(Patience.Limit), "the server does not stop");

    public void Dispose()
    {
        _server.Stop();
        AssertEnds();
        _server.Dispose();
        _directory.Dispose();
        _reports.Dispose();
        Assert.Null(_death);
        Assert.Equal(0, Log.Count("internal error"));
    }

    private void Run()
    {
        try
        {
            _server.Run();
        }
        catch (Exception death) when (death is not OutOfMemoryException)
        {
            _death = death;
        }
    }
}

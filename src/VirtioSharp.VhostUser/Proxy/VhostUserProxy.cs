using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.Proxy;

/// <summary>Stands between a VMM and a daemon, passes everything on, and tells what passed.</summary>
/// <remarks>One session at a time, all on the thread that calls <see cref="Run"/>; a second front-end waits in the backlog.</remarks>
public sealed class VhostUserProxy : IDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(1); // a daemon that serves another front-end leaves us in its backlog
    private static readonly TimeSpan AcceptAgainAfter = TimeSpan.FromSeconds(1);

    private readonly EventLoop _loop = new();
    private readonly UnixListener _listener;
    private readonly string _backEnd;
    private readonly TimeProvider _time;
    private IEventRegistration? _listening;
    private ProxySession? _session;
    private int _sessions;

    /// <summary>A proxy that does not run yet.</summary>
    /// <param name="listener">Where front-ends connect; owned from here on.</param>
    /// <param name="backEndPath">The daemon's socket. It is connected to for each session, so the daemon may come later.</param>
    /// <param name="time">The clock of messages.</param>
    public VhostUserProxy(UnixListener listener, string backEndPath, TimeProvider? time = null)
    {
        (_listener, _backEnd, _time) = (listener, backEndPath, time ?? TimeProvider.System);
        listener.Descriptor.SetNonBlocking();
    }

    /// <summary>A front-end has come in. Called with the session's number, 1 for the first.</summary>
    public Action<int>? SessionBegan { get; set; }

    /// <summary>A message has passed, or the proxy has something to say.</summary>
    public Action<ProxiedMessage>? MessagePassed { get; set; }

    /// <summary>A session is over.</summary>
    public Action<ProxiedSession>? SessionEnded { get; set; }

    /// <summary>Passes messages on until <see cref="Stop"/>.</summary>
    public void Run()
    {
        Listen();
        _loop.Run();
        if (_session is not null)
            Ended("the proxy was stopped");
    }

    /// <summary>Ends <see cref="Run"/>. From any thread.</summary>
    public void Stop() => _loop.Stop();

    /// <summary>Closes everything and removes the socket.</summary>
    public void Dispose()
    {
        _session?.Dispose();
        _listening?.Dispose();
        _loop.Dispose();
        _listener.Dispose();
    }

    private void Listen() => _listening = _loop.Register(_listener.Descriptor, EpollEvents.In, new Door(this));

    private void Accept(UnixSocket frontEnd)
    {
        _listening?.Dispose();
        _listening = null;
        _sessions++;
        SessionBegan?.Invoke(_sessions);
        UnixSocket? backEnd = null;
        try
        {
            backEnd = UnixSocket.Connect(_backEnd, ConnectTimeout);
            _session = new ProxySession(_loop, _time, frontEnd, backEnd, message => MessagePassed?.Invoke(message), Ended);
        }
        catch (LinuxException refused)
        {
            frontEnd.Dispose();
            backEnd?.Dispose();
            Ended(backEnd is null ? $"no back-end answers at {_backEnd}: {refused.Message}" : refused.Message);
        }
    }

    private void Ended(string? why)
    {
        ProxiedSession session = new(_sessions, _session?.State.Features, _session?.State.Protocol, why);
        _session?.Dispose();
        _session = null;
        SessionEnded?.Invoke(session);
        if (!_loop.IsStopped)
            Listen();
    }

    private sealed class Door(VhostUserProxy proxy) : IReadyHandler
    {
        public void OnReady(EpollEvents ready)
        {
            try
            {
                if (proxy._listener.Accept(nonBlocking: true) is { } frontEnd)
                    proxy.Accept(frontEnd);
            }
            catch (LinuxException)
            {
                // Out of descriptors. The front-end still waits, and the loop would come back at once: look again later.
                proxy._listening?.Update(EpollEvents.None);
                proxy._loop.CreateTimer(() => proxy._listening?.Update(EpollEvents.In)).Arm(AcceptAgainAfter);
            }
        }
    }
}

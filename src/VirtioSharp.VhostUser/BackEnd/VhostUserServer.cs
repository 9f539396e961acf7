using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Serves one device to one front-end after the other, all on the thread that calls <see cref="Run"/>.</summary>
/// <remarks>
/// While a front-end is connected, the next one waits in the socket's backlog. Whatever ends a session (a good-bye, a
/// crash, a broken message), the server listens again and the device starts from reset.
/// </remarks>
public sealed class VhostUserServer : IDisposable
{
    private static readonly TimeSpan AcceptAgainAfter = TimeSpan.FromSeconds(1);

    private readonly EventLoop _loop;
    private readonly UnixListener? _listener;
    private readonly VhostUserOptions _options;
    private readonly ILogger _log;
    private readonly Surroundings _surroundings;
    private readonly DeviceHost _host;
    private IEventRegistration? _listening;
    private UnixSocket? _onlyConnection;
    private Connection? _connection;

    /// <summary>Serves whoever connects to <paramref name="listener"/>, until stopped.</summary>
    public VhostUserServer(VirtioDevice device, UnixListener listener, VhostUserOptions? options = null, ILogger? log = null)
        : this(device, options, log) => _listener = listener;

    /// <summary>Serves one front-end over a connection that is already there.</summary>
    public VhostUserServer(VirtioDevice device, UnixSocket connection, VhostUserOptions? options = null, ILogger? log = null)
        : this(device, options, log) => _onlyConnection = connection;

    private VhostUserServer(VirtioDevice device, VhostUserOptions? options, ILogger? log)
    {
        (_options, _log) = (options ?? new(), log ?? NullLogger.Instance);
        _loop = new EventLoop { BusyPollTime = _options.BusyPoll };
        _surroundings = new Surroundings(this);
        _host = new DeviceHost(device, _surroundings, _surroundings, new DeviceHostOptions
        {
            // Legacy drivers reach a back-end like any other: the front-end hides the transport.
            AllowLegacy = true,
            RingFeatures = VhostUserOptions.RingFeatures,
            WithheldFeatures = _options.WithheldFeatures | ((_options.Withheld & VhostUserOptions.IotlbNeeds) != 0 ? Features.AccessPlatform : default),
            Observer = _surroundings,
        })
        {
            IsPolled = _options.BusyPoll > TimeSpan.Zero,
        };
        if (_host.IsPolled)
            _loop.AddIdlePoller(new RingPoller(_host));
    }

    /// <summary>Is told what each session saw when it has ended. On the server's thread.</summary>
    public Action<SessionReport>? SessionEnded { get; set; }

    /// <summary>Serves until <see cref="Stop"/>; over a single connection, until that ends.</summary>
    public void Run()
    {
        if (_onlyConnection is { } connection)
        {
            _onlyConnection = null;
            connection.Descriptor.SetNonBlocking();
            Accept(connection);
        }
        else
        {
            Listen();
        }

        _loop.Run();
        _connection?.EndForStop();
    }

    /// <summary>The loop that the device lives in, for what stands behind it.</summary>
    public EventLoop Loop => _loop;

    /// <summary>How everything is now. On the loop's thread.</summary>
    public ServerStatus Status => new(
        _host.Traits.Id,
        _connection?.FrontEnd,
        _host.Status,
        _host.DeviceFeatures,
        _host.DriverFeatures,
        [.. _host.Traits.Queues.Select((queue, index) => new QueueStatus(queue.Name, _host.Position(index)?.At, _host.Position(index)?.Held ?? 0, _host.Statistics(index)))]);

    /// <summary>Ends <see cref="Run"/>. From any thread.</summary>
    public void Stop() => _loop.Stop();

    /// <summary>Closes everything and removes the socket. Only when <see cref="Run"/> has returned.</summary>
    public void Dispose()
    {
        _connection?.EndForStop();
        _onlyConnection?.Dispose();
        _listening?.Dispose();
        _loop.Dispose();
        _listener?.Dispose();
    }

    private void Listen()
    {
        _listener!.Descriptor.SetNonBlocking();
        _listening = _loop.Register(_listener.Descriptor, EpollEvents.In, new Door(this));
        if (_listener.Path is { } path)
            _log.Listening(path);
    }

    private void Accept(UnixSocket socket)
    {
        _log.Connected(socket.Peer.ProcessId);
        _connection = new Connection(this, socket);
        _listening?.Dispose(); // the next front-end waits in the backlog until this one has left
        _listening = null;
    }

    private void Ended()
    {
        _connection = null;
        _surroundings.DisarmAlarm();
        if (_listener is null)
            _loop.Stop();
        else if (!_loop.IsStopped)
            Listen();
    }

    /// <summary>One front-end's session in the loop.</summary>
    private sealed class Connection : IReadyHandler, IDeferred
    {
        private readonly VhostUserServer _server;
        private readonly IEventRegistration _registration;
        private bool _isClosed;

        public Connection(VhostUserServer server, UnixSocket socket)
        {
            (_server, FrontEnd) = (server, socket.Peer.ProcessId);
            Recorder = new SessionRecorder(server._host);
            Session = new BackEndSession(socket, server._host, server._loop, server._options, Recorder, server._log);
            Session.MemoryLost = () => server._loop.Defer(this);
            _registration = server._loop.Register(socket.Descriptor, EpollEvents.In, this);
        }

        public int FrontEnd { get; }

        public SessionRecorder Recorder { get; }

        public BackEndSession Session { get; }

        public void OnReady(EpollEvents ready)
        {
            try
            {
                if (!Session.Receive())
                    End(null);
            }
            catch (LinuxException gone) when (gone.Errno is Errno.ECONNRESET or Errno.EPIPE)
            {
                End(null); // a front-end that was killed leaves like this
            }
            catch (Exception broken) when (broken is TransportException or LinuxException)
            {
                End(broken.Message);
            }
            catch (Exception mistake) when (mistake is not OutOfMemoryException)
            {
                // Ours, not the peer's; it costs this connection and no more.
                End($"internal error, please report it: {mistake}");
            }
        }

        /// <summary>Memory is gone, as a ring has found.</summary>
        public void TakeTurn()
        {
            if (!_isClosed)
                End(BackEndSession.LostMemory);
        }

        /// <summary>We leave, in good order.</summary>
        public void EndForStop()
        {
            _server._log.Stopped();
            Close(Recorder.Report("the back-end was stopped"));
        }

        /// <summary>The front-end has left, or broke the rules.</summary>
        private void End(string? reason)
        {
            SessionReport report = Recorder.Report(reason);
            if (reason is null)
                _server._log.Left(report.Messages.Values.Sum(), report.Queues.Aggregate(0UL, (sum, queue) => sum + queue.Counts.Chains));
            else
                _server._log.Broken(reason);
            Close(report);
        }

        private void Close(SessionReport report)
        {
            _isClosed = true;
            _registration.Dispose();
            Session.Dispose();
            _server.SessionEnded?.Invoke(report);
            _server.Ended();
        }
    }

    /// <summary>The door: one front-end at a time comes in.</summary>
    private sealed class Door(VhostUserServer server) : IReadyHandler
    {
        public void OnReady(EpollEvents ready)
        {
            try
            {
                if (server._listener!.Accept(nonBlocking: true) is { } socket)
                    server.Accept(socket);
            }
            catch (LinuxException refused)
            {
                // Out of descriptors, say. The front-end still waits and the loop would come back at once: look again later.
                server._log.AcceptFailed(refused.Message);
                server._listening?.Update(EpollEvents.None);
                server._loop.CreateTimer(() => server._listening?.Update(EpollEvents.In)).Arm(AcceptAgainAfter);
            }
        }
    }

    /// <summary>Shows the driver what the device completed by itself.</summary>
    private sealed class Flusher(VhostUserServer server) : IDeferred
    {
        public void TakeTurn() => server._host.Flush();
    }

    /// <summary>What the device's host sees of this server.</summary>
    private sealed class Surroundings : IInterrupt, IWakeUp, IDeviceObserver, IDeferred
    {
        private readonly VhostUserServer _server;
        private readonly ILoopTimer _alarm;
        private readonly Flusher _flush;

        public Surroundings(VhostUserServer server)
        {
            _server = server;
            _alarm = server._loop.CreateTimer(TakeTurn);
            _flush = new Flusher(server);
        }

        public void DisarmAlarm() => _alarm.Disarm();

        public void SignalUsed(int queue) => _server._connection?.Session.SignalUsed(queue);

        public void SignalConfigurationChange() => _server._connection?.Session.SignalConfigurationChange();

        public void WakeAfter(TimeSpan delay) => _alarm.Arm(delay);

        public void FlushSoon() => _server._loop.Defer(_flush);

        public void ChainFaulted(int queue, ChainFault fault)
        {
            if (_server._connection?.Recorder.Fault(Enum.GetName(fault.Kind)!) ?? false)
                _server._log.Faulty(queue, fault.ToString());
        }

        public void NeedsReset(int queue, Exception reason)
        {
            if (_server._connection is not { } connection)
                return;
            if (connection.Recorder.Fault("NeedsReset"))
                _server._log.NeedsReset(queue, reason.Message);
            connection.Session.SignalErrors();
        }

        /// <summary>The alarm went off, or the turn after it was too short.</summary>
        public void TakeTurn()
        {
            if (_server._host.Wake())
                _server._loop.Defer(this);
        }
    }
}

using System.Text;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Control;

/// <summary>Answers on a control socket, in the loop that serves the device, and never holds it up.</summary>
/// <remarks>
/// Whoever connects is bounded: so many connections, so long a line, so long a silence, and an answer that is not
/// taken at once costs the connection. The socket is its owner's alone.
/// </remarks>
internal sealed class ControlServer : IReadyHandler, IDisposable
{
    private const int MaxConnections = 8;
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(10), AcceptAgainAfter = TimeSpan.FromSeconds(1);

    private readonly EventLoop _loop;
    private readonly UnixListener _listener;
    private readonly Func<ControlRequest, string> _obey;
    private readonly IEventRegistration _listening;
    private readonly ILoopTimer _acceptAgain;
    private readonly List<Connection> _connections = [];

    /// <summary>Listens.</summary>
    /// <param name="path">Where.</param>
    /// <param name="loop">The device's; not yet running, or this is its thread.</param>
    /// <param name="obey">Does what is asked, and says what to answer. On the loop's thread.</param>
    /// <exception cref="LinuxException">The socket cannot be made.</exception>
    public ControlServer(string path, EventLoop loop, Func<ControlRequest, string> obey)
    {
        (_loop, _obey) = (loop, obey);
        _listener = UnixListener.Listen(path, nonBlocking: true, ownerOnly: true);
        try
        {
            _listening = loop.Register(_listener.Descriptor, EpollEvents.In, this);
            _acceptAgain = loop.CreateTimer(LetIn);
        }
        catch
        {
            _listener.Dispose();
            throw;
        }
    }

    /// <summary>Somebody is at the door.</summary>
    public void OnReady(EpollEvents ready)
    {
        try
        {
            if (_listener.Accept(nonBlocking: true) is { } socket)
                _connections.Add(new Connection(this, socket));
        }
        catch (LinuxException)
        {
            _acceptAgain.Arm(AcceptAgainAfter); // out of descriptors, say
            _listening.Update(EpollEvents.None);
            return;
        }

        LetIn();
    }

    public void Dispose()
    {
        _acceptAgain.Disarm();
        foreach (Connection connection in _connections.ToArray())
            connection.Dispose();
        _listening.Dispose();
        _listener.Dispose();
    }

    /// <summary>Whoever does not fit waits in the backlog.</summary>
    private void LetIn() => _listening.Update(_connections.Count < MaxConnections ? EpollEvents.In : EpollEvents.None);

    private sealed class Connection : IReadyHandler, IDisposable
    {
        private readonly ControlServer _server;
        private readonly UnixSocket _socket;
        private readonly IEventRegistration _registration;
        private readonly ILoopTimer _silence;
        private readonly ReceivedFds _none = new(1);
        private readonly byte[] _line = new byte[ControlProtocol.MaxRequest];
        private int _length;

        public Connection(ControlServer server, UnixSocket socket)
        {
            (_server, _socket) = (server, socket);
            _registration = server._loop.Register(socket.Descriptor, EpollEvents.In, this);
            _silence = server._loop.CreateTimer(Dispose);
            _silence.Arm(Silence);
        }

        public void OnReady(EpollEvents ready)
        {
            try
            {
                int received = _socket.ReceiveWithFds(_line.AsSpan(_length), _none);
                _none.Clear(); // whatever came along is not wanted
                if (received == UnixSocket.WouldBlock)
                    return;
                if (received == 0)
                {
                    Dispose();
                    return;
                }

                _length += received;
                Answer();
            }
            catch (LinuxException)
            {
                Dispose(); // gone
            }
        }

        public void Dispose()
        {
            if (!_server._connections.Remove(this))
                return;
            _silence.Disarm();
            _registration.Dispose();
            _none.Dispose();
            _socket.Dispose();
            _server.LetIn();
        }

        /// <summary>Answers every line that is there; the buffer bounds how many these can be.</summary>
        private void Answer()
        {
            for (int end; (end = _line.AsSpan(0, _length).IndexOf((byte)'\n')) >= 0;)
            {
                string answer = AnswerTo(_line.AsMemory(0, end));
                _line.AsSpan((end + 1).._length).CopyTo(_line);
                _length -= end + 1;
                if (!Send(answer))
                {
                    Dispose();
                    return;
                }

                _silence.Arm(Silence);
            }

            if (_length < _line.Length)
                return; // the rest may come; the alarm is not set anew before it has
            Send(ControlProtocol.Refused($"a request has at most {ControlProtocol.MaxRequest} bytes"));
            Dispose();
        }

        private string AnswerTo(ReadOnlyMemory<byte> line)
        {
            try
            {
                return _server._obey(ControlProtocol.Read(line));
            }
            catch (FormatException wrong)
            {
                return ControlProtocol.Refused(wrong.Message);
            }
        }

        /// <returns>False when there was no room for all of it.</returns>
        private bool Send(string answer)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(answer + "\n");
            return _socket.SendWithFds(bytes, []) == bytes.Length;
        }
    }
}

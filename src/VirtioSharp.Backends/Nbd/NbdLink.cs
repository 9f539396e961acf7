using System.Buffers;
using System.Net;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Nbd;

/// <summary>One connection on its way into an export: connecting, shaking hands, in. It never waits.</summary>
internal sealed class NbdLink : IDisposable
{
    private readonly NbdHandshake _handshake;
    private readonly byte[] _incoming = new byte[4 * NbdProtocol.MaxString];
    private int _have;
    private bool _isConnected;

    private NbdLink(StreamSocket socket, string export) => (Socket, _handshake) = (socket, new NbdHandshake(export));

    public StreamSocket Socket { get; }

    /// <summary>The export, once we are in.</summary>
    public NbdExport? Export => _handshake.Export;

    /// <summary>Whether it goes on when there is room to write, and not before.</summary>
    public bool WaitsForRoom => !_isConnected || _handshake.Outgoing.WrittenCount > 0;

    /// <exception cref="LinuxException">Nobody is there.</exception>
    public static NbdLink Begin(EndPoint to, string export) => new(StreamSocket.BeginConnecting(to), export);

    /// <summary>Goes on as far as that is possible now.</summary>
    /// <returns>Whether we are in.</returns>
    /// <exception cref="LinuxException">The connection failed.</exception>
    /// <exception cref="NbdException">The server says no, or nonsense.</exception>
    public bool Advance()
    {
        if (!_isConnected)
        {
            if (!Readiness.WaitWritable(Socket.Descriptor, TimeSpan.Zero))
                return false;
            Socket.FinishConnecting();
            _isConnected = true;
        }

        while (Export is null)
        {
            if (!Send() || !Receive())
                return false;
        }

        return true;
    }

    /// <summary>Closes it with as little as possible of what was sent reaching the server.</summary>
    public void Abort() => Socket.Abort();

    public void Dispose() => Socket.Dispose();

    private unsafe bool Send()
    {
        ArrayBufferWriter<byte> outgoing = _handshake.Outgoing;
        ReadOnlySpan<byte> bytes = outgoing.WrittenSpan;
        if (bytes.IsEmpty)
            return true;
        fixed (byte* first = bytes)
        {
            // A hundred bytes, or a name: a socket's buffer that has no room for them is nobody's who reads.
            if (Socket.Send([new IoVector((nint)first, bytes.Length)]) != bytes.Length)
                throw new NbdException(NbdFailure.Unreachable, "the server does not read what it is asked");
        }

        outgoing.ResetWrittenCount();
        return true;
    }

    private unsafe bool Receive()
    {
        int needed = _handshake.Needed;
        fixed (byte* first = &_incoming[_have])
        {
            nint received = Socket.Receive([new IoVector((nint)first, needed - _have)]);
            if (received == StreamSocket.WouldBlock)
                return false;
            if (received == 0)
                throw new NbdException(NbdFailure.Unreachable, "the server has closed the connection in the handshake");
            _have += (int)received;
        }

        if (_have == needed)
        {
            _have = 0;
            try
            {
                _handshake.Take(_incoming.AsSpan(0, needed));
            }
            catch (NbdException refused) when (refused.Failure == NbdFailure.Refused)
            {
                Send();
                throw;
            }
        }

        return true;
    }
}

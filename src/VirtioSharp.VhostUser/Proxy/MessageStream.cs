using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.Proxy;

/// <summary>What came of reading for a proxy.</summary>
internal enum StreamOutcome
{
    /// <summary>No whole message yet.</summary>
    Incomplete,
    /// <summary>A message.</summary>
    Message,
    /// <summary>Bytes that belong to no message: from a header on that cannot be one, the stream is only passed on.</summary>
    Bytes,
    /// <summary>The sender has closed.</summary>
    Closed,
}

/// <summary>Cuts a stream into messages without judging them: what is wrong with one is the receiver's to decide.</summary>
internal sealed class MessageStream(UnixSocket socket) : IDisposable
{
    /// <summary>More than any message of the specification has; a size beyond it is taken for a broken header.</summary>
    private const int MaxPayload = 64 * 1024;

    private readonly byte[] _buffer = new byte[MessageHeader.Bytes + MaxPayload];
    private int _have;
    private bool _isDone; // what is in the buffer has been given out

    /// <summary>The header of the message at hand.</summary>
    public MessageHeader Header => MemoryMarshal.Read<MessageHeader>(_buffer);

    /// <summary>What is to be passed on.</summary>
    public ReadOnlySpan<byte> Bytes => _buffer.AsSpan(0, _have);

    /// <summary>The payload of the message at hand.</summary>
    public ReadOnlySpan<byte> Payload => _buffer.AsSpan(MessageHeader.Bytes, (int)Header.Size);

    /// <summary>The descriptors that came with it.</summary>
    public ReceivedFds Fds { get; } = new();

    /// <summary>Whether the stream has stopped making sense.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Bytes of a message that has not come whole.</summary>
    public int Unfinished => _isDone ? 0 : _have;

    /// <summary>Reads on.</summary>
    /// <exception cref="LinuxException">ECONNRESET.</exception>
    public StreamOutcome TryRead()
    {
        if (_isDone)
        {
            Fds.Clear();
            (_have, _isDone) = (0, false);
        }

        while (true)
        {
            int want = IsBroken ? _buffer.Length : _have < MessageHeader.Bytes ? MessageHeader.Bytes : MessageHeader.Bytes + (int)Header.Size;
            if (_have == want)
                return Give(StreamOutcome.Message);
            int received = socket.ReceiveWithFds(_buffer.AsSpan(_have, want - _have), Fds);
            if (received == UnixSocket.WouldBlock)
                return StreamOutcome.Incomplete;
            if (received == 0)
                return StreamOutcome.Closed;
            _have += received;
            if (!IsBroken && _have == MessageHeader.Bytes)
                IsBroken = !Header.IsVersion1 || Header.Size > MaxPayload;
            if (IsBroken)
                return Give(StreamOutcome.Bytes);
        }
    }

    public void Dispose() => Fds.Dispose();

    private StreamOutcome Give(StreamOutcome outcome)
    {
        _isDone = true;
        return outcome;
    }
}

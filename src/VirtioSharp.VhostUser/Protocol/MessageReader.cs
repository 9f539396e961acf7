using System.Runtime.InteropServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What came of reading.</summary>
internal enum ReadOutcome
{
    /// <summary>The peer has not sent a whole message yet.</summary>
    Incomplete,
    /// <summary>A message is there.</summary>
    Message,
    /// <summary>The peer has closed the connection, between two messages.</summary>
    Closed,
}

/// <summary>Puts messages together from a stream that may stop anywhere. It never waits: a slow peer costs nothing.</summary>
/// <remarks>A message's size is checked before its payload is read, so no claim of the peer's makes us hold more than <see cref="MessageRule.MaxPayload"/> bytes.</remarks>
internal sealed class MessageReader(UnixSocket socket) : IDisposable
{
    private readonly byte[] _bytes = new byte[MessageHeader.Bytes + MessageRule.MaxPayload];
    private int _have;
    private MessageRule? _rule;

    /// <summary>The header of the message at hand.</summary>
    public MessageHeader Header { get; private set; }

    /// <summary>The rule it has been checked against.</summary>
    public MessageRule Rule => _rule ?? throw new InvalidOperationException("no message is at hand");

    /// <summary>Its payload, until the next call of <see cref="TryRead"/>.</summary>
    public ReadOnlySpan<byte> Payload => _bytes.AsSpan(MessageHeader.Bytes, (int)Header.Size);

    /// <summary>Its file descriptors. Those not taken are closed by the next call.</summary>
    public ReceivedFds Fds { get; } = new();

    /// <summary>Reads on.</summary>
    /// <exception cref="TransportException">The peer sent what no message looks like.</exception>
    public ReadOutcome TryRead()
    {
        if (_rule is not null && _have == MessageHeader.Bytes + (int)Header.Size)
        {
            Fds.Clear();
            (_have, _rule) = (0, null);
        }

        while (true)
        {
            int want = _rule is null ? MessageHeader.Bytes : MessageHeader.Bytes + (int)Header.Size;
            if (_have < want)
            {
                int received = socket.ReceiveWithFds(_bytes.AsSpan(_have, want - _have), Fds);
                if (received == UnixSocket.WouldBlock)
                    return ReadOutcome.Incomplete;
                if (received == 0)
                    return _have == 0 ? ReadOutcome.Closed : throw Truncated(want);
                _have += received;
                if (Fds.Truncated)
                    throw new TransportException("file descriptors were lost on the way (MSG_CTRUNC): too many came at once, or this process may not open more");
            }

            if (_have < want)
                continue;
            if (_rule is null)
                CheckHeader();
            else
                return ReadOutcome.Message;
            if (_have == MessageHeader.Bytes + (int)Header.Size)
                return ReadOutcome.Message;
        }
    }

    /// <summary>Closes the descriptors that nobody took.</summary>
    public void Dispose() => Fds.Dispose();

    private void CheckHeader()
    {
        Header = MemoryMarshal.Read<MessageHeader>(_bytes);
        string name = MessageFacts.NameOf(Header.Request);
        if (!Header.IsVersion1)
            throw new TransportException($"flags = 0x{(uint)Header.Flags:x} of {name}: the version is not 1");
        if (Header.IsReply)
            throw new TransportException($"flags = 0x{(uint)Header.Flags:x} of {name}: a reply, where a request was due");
        if (!MessageRule.TryGet(Header.Request, out MessageRule rule))
            throw new TransportException($"{name} is not implemented here, and its feature was not offered");
        if (Header.Size < rule.MinSize || Header.Size > rule.MaxSize)
            throw new TransportException($"size = 0x{Header.Size:x} of {name}: it has {Expected(rule)} bytes");
        _rule = rule;
    }

    private static string Expected(MessageRule rule) =>
        rule.MinSize == rule.MaxSize ? $"{rule.MinSize}" : $"{rule.MinSize} to {rule.MaxSize}";

    private TransportException Truncated(int want) => new(_rule is null
        ? $"the connection ended in the middle of a message, after {_have} of {want} header bytes"
        : $"the connection ended in the middle of {_rule.Name}, after {_have} of {want} bytes");
}

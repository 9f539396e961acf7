using System.Runtime.InteropServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>The message at hand: what it carries, taken out with its rules checked, and the way to answer it.</summary>
internal sealed class IncomingMessage(UnixSocket socket) : IDisposable
{
    private readonly MessageReader _reader = new(socket);

    public MessageRule Rule => _reader.Rule;

    public FrontEndRequest Request => (FrontEndRequest)_reader.Header.Request;

    public bool NeedsReply => (_reader.Header.Flags & MessageFlags.NeedReply) != 0;

    public ReadOnlySpan<byte> Payload => _reader.Payload;

    public ReceivedFds Fds => _reader.Fds;

    /// <inheritdoc cref="MessageReader.TryRead"/>
    public ReadOutcome TryRead() => _reader.TryRead();

    public T Read<T>()
        where T : unmanaged => MemoryMarshal.Read<T>(Payload);

    /// <summary>Its only descriptor; the caller closes it.</summary>
    public FileDescriptor TakeFd() => Fds.Count == 1
        ? Fds.Take(0)
        : throw new TransportException($"{Rule.Name} came without its file descriptor");

    /// <summary>Its eventfd, or null when it says that it has none.</summary>
    public EventFd? TakeEventFd()
    {
        if (!Read<VringFd>().HasNone)
            return TakeOnlyEventFd();
        return Fds.Count == 0 ? null : throw new TransportException($"{Rule.Name} says it has no file descriptor, but came with one");
    }

    public EventFd TakeOnlyEventFd()
    {
        try
        {
            return EventFd.Adopt(TakeFd());
        }
        catch (LinuxException refused)
        {
            throw new TransportException($"{Rule.Name}: {refused.Message}", refused);
        }
    }

    public void Reply<T>(T payload, params ReadOnlySpan<FileDescriptor> fds)
        where T : unmanaged => Reply(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), fds);

    public void Reply(ReadOnlySpan<byte> payload, params ReadOnlySpan<FileDescriptor> fds)
    {
        Span<byte> message = stackalloc byte[MessageHeader.Bytes + MessageRule.MaxPayload];
        message = MessageHeader.Compose(message, (uint)Request, MessageFlags.Version1 | MessageFlags.Reply, payload);

        // A reply always fits into the socket's buffer, unless the peer leaves hundreds unread.
        int sent = socket.SendWithFds(message, fds);
        if (sent != message.Length)
            throw new TransportException("the front-end does not read its replies");
    }

    /// <summary>Says no before the session ends. Why it ends is told also when nobody reads this any more.</summary>
    public void Refuse()
    {
        try
        {
            Reply(1UL);
        }
        catch (Exception unread) when (unread is TransportException or LinuxException)
        {
        }
    }

    /// <summary>Closes the descriptors that nobody took.</summary>
    public void Dispose() => _reader.Dispose();
}

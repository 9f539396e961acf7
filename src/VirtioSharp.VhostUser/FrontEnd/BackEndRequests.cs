using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>The back-end's own requests, over the socket that SET_BACKEND_REQ_FD gives it.</summary>
/// <remarks>
/// They are served whenever this front-end waits, also for an answer: a back-end may wait for ours before it gives its own. Of
/// all of them only CONFIG_CHANGE, which has no payload, IOTLB_MSG, and notifications of rings belong to what is negotiated here.
/// </remarks>
internal sealed class BackEndRequests : IDisposable
{
    private readonly UnixSocket _socket;
    private readonly BackEndLink _link;
    private readonly BackEndEvents _events;
    private readonly byte[] _message = new byte[MessageHeader.Bytes + IotlbPayload.Bytes];
    private readonly ReceivedFds _fds = new(capacity: 1);
    private int _have;
    private int _want = MessageHeader.Bytes;

    private BackEndRequests(UnixSocket socket, BackEndLink link, BackEndEvents events) => (_socket, _link, _events) = (socket, link, events);

    public FileDescriptor Descriptor => _socket.Descriptor;

    /// <summary>Whether the back-end may still ask for something.</summary>
    public bool IsOpen { get; private set; } = true;

    /// <summary>Makes the socket, and gives the back-end its end. That one blocks, as it does with QEMU.</summary>
    public static BackEndRequests Open(BackEndLink link, BackEndEvents events)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using (theirs)
        {
            var requests = new BackEndRequests(ours, link, events);
            try
            {
                ours.Descriptor.SetNonBlocking();
                link.Channel.Send(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
                return requests;
            }
            catch
            {
                requests.Dispose();
                throw;
            }
        }
    }

    /// <summary>Obeys one request at the most, so that a back-end that has many does not keep anybody waiting.</summary>
    /// <exception cref="VhostUserException">It broke the rules.</exception>
    public void Serve(bool acknowledges)
    {
        int received;
        try
        {
            received = _socket.ReceiveWithFds(_message.AsSpan(_have, _want - _have), _fds);
        }
        catch (LinuxException gone) when (gone.Errno == Errno.ECONNRESET)
        {
            received = 0;
        }

        if (received == UnixSocket.WouldBlock)
            return;
        if (_fds.Count > 0 || _fds.Truncated)
            throw Wrong("a request of the back-end came with file descriptors: none belong there");
        if (received == 0)
        {
            IsOpen = false; // whether the back-end itself is gone, the other socket tells
            return;
        }

        _have += received;
        if (_have < _want)
            return;
        var header = MemoryMarshal.Read<MessageHeader>(_message);
        if (_have == MessageHeader.Bytes)
            Check(header);
        _want = MessageHeader.Bytes + (int)header.Size;
        if (_have < _want)
            return; // what is left of it wakes us again
        (_have, _want) = (0, MessageHeader.Bytes);
        Obey(header, acknowledges);
    }

    public void Dispose()
    {
        IsOpen = false;
        _fds.Dispose();
        _socket.Dispose();
    }

    private void Check(MessageHeader header)
    {
        if (!header.IsVersion1 || header.IsReply)
            throw Wrong($"flags = 0x{(uint)header.Flags:x} of the back-end's request {header.Request}: not a request of version 1");
        int? size = (BackEndRequest)header.Request switch
        {
            BackEndRequest.ConfigChange => 0,
            BackEndRequest.IotlbMsg when _link.IsTranslated => IotlbPayload.Bytes,
            BackEndRequest.VringCall or BackEndRequest.VringErr when _link.Has(ProtocolFeatures.InbandNotifications) => VringState.Bytes,
            _ => null,
        };
        if (size is null)
            throw Wrong($"the back-end's request {header.Request} belongs to a protocol feature that was not negotiated");
        if (header.Size != size)
            throw Wrong($"size = {header.Size} of the back-end's {MessageFacts.BackEndNameOf(header.Request)}: it has {size} bytes");
    }

    private void Obey(MessageHeader header, bool acknowledges)
    {
        bool done = true;
        ReadOnlySpan<byte> payload = _message.AsSpan(MessageHeader.Bytes);
        switch ((BackEndRequest)header.Request)
        {
            case BackEndRequest.ConfigChange:
                _events.ConfigurationChanged();
                break;
            case BackEndRequest.IotlbMsg:
                done = ObeyIotlb(MemoryMarshal.Read<IotlbPayload>(payload));
                break;
            default:
                done = _events.Notified((BackEndRequest)header.Request, MemoryMarshal.Read<VringState>(payload).Index);
                break;
        }

        if (acknowledges && (header.Flags & MessageFlags.NeedReply) != 0)
            Acknowledge(header.Request, done ? 0UL : 1UL);
    }

    private bool ObeyIotlb(IotlbPayload payload) => payload.Type switch
    {
        IotlbType.Miss => _events.Missed(_link, payload.Iova, payload.Permission),
        IotlbType.AccessFail => _events.AccessFailed(),
        _ => throw Wrong($"type = {(int)payload.Type} of the back-end's IOTLB_MSG is neither MISS (1) nor ACCESS_FAIL (4)"),
    };

    private void Acknowledge(uint request, ulong answer)
    {
        Span<byte> reply = stackalloc byte[MessageHeader.Bytes + sizeof(ulong)];
        MessageHeader.Compose(reply, request, MessageFlags.Version1 | MessageFlags.Reply, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in answer)));
        try
        {
            _socket.SendWithFds(reply, []);
        }
        catch (LinuxException)
        {
            // It has closed, or does not read: its loss.
        }
    }

    private static VhostUserException Wrong(string message) => new(VhostUserFailure.BrokenRules, FrontEndRequest.SetBackEndReqFd, message);
}

/// <summary>What a front-end does with its back-end's requests.</summary>
/// <param name="ConfigurationChanged">CONFIG_CHANGE.</param>
/// <param name="Missed">Gives the translation of an I/O address for some access; false when there is none.</param>
/// <param name="AccessFailed">The back-end's driver wanted what it may not.</param>
/// <param name="Notified">VRING_CALL or VRING_ERR of a ring; false when there is none with this number.</param>
internal sealed record BackEndEvents(
    Action ConfigurationChanged, Func<BackEndLink, ulong, MemoryAccess, bool> Missed, Func<bool> AccessFailed, Func<BackEndRequest, uint, bool> Notified);

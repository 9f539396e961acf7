using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>The socket for our own requests to the front-end (SET_BACKEND_REQ_FD).</summary>
/// <remarks>
/// Nobody waits for an answer: QEMU answers CONFIG_CHANGE only after it has asked us GET_CONFIG on the other socket, and an
/// IOTLB miss after it has sent the translation there, so a thread that waited here would wait for ever. Misses ask for one, to hear of a
/// refusal, and in-band notifications, so as not to fill the socket; answers come in the order of the requests. A notification that
/// finds the socket full nevertheless is sent as soon as there is room: the driver may wait for it.
/// </remarks>
internal sealed class BackEndChannel : IReadyHandler, IDisposable
{
    private readonly UnixSocket _socket;
    private readonly byte[] _reply = new byte[MessageHeader.Bytes + sizeof(ulong)];
    private readonly ReceivedFds _fds = new(capacity: 1);
    private IEventRegistration? _registration;
    private readonly Queue<(BackEndRequest Request, int Ring)> _unanswered = new(); // in-band notifications
    private readonly HashSet<(BackEndRequest Request, int Ring)> _again = []; // when the one before is answered
    private readonly HashSet<(BackEndRequest Request, int Ring)> _unsent = []; // when there is room
    private int _have;

    public BackEndChannel(FileDescriptor descriptor, EventLoop loop)
    {
        _socket = UnixSocket.Adopt(descriptor, nonBlocking: true);
        _registration = loop.Register(_socket.Descriptor, EpollEvents.In, this);
    }

    /// <summary>Is told what the front-end answered to a miss: whether it refused.</summary>
    public Action<bool>? MissAnswered { get; set; }

    /// <summary>Is told that the front-end can neither be asked any more nor answer: why, or null when it has closed its end.</summary>
    public Action<string?>? Ended { get; set; }

    /// <summary>Sends CONFIG_CHANGE. One that cannot be sent is the front-end's loss, not the device's.</summary>
    public bool SendConfigChange() => Send(BackEndRequest.ConfigChange, MessageFlags.Version1, []);

    /// <summary>Asks for a translation.</summary>
    /// <param name="address">The I/O address.</param>
    /// <param name="access">What it is needed for, no more.</param>
    /// <param name="wantsAnswer">Whether <see cref="MissAnswered"/> is to be told.</param>
    public bool SendMiss(GuestAddress address, MemoryAccess access, bool wantsAnswer) =>
        SendIotlb(address, access, IotlbType.Miss, wantsAnswer ? MessageFlags.Version1 | MessageFlags.NeedReply : MessageFlags.Version1);

    /// <summary>Says that the driver wanted what the IOMMU does not allow.</summary>
    public bool SendAccessFailure(GuestAddress address, MemoryAccess access) => SendIotlb(address, access, IotlbType.AccessFail, MessageFlags.Version1);

    /// <summary>Notifies in-band: VRING_CALL or VRING_ERR. One that follows before the front-end has answered waits for that answer, so
    /// that there are never more than two of a ring in the socket.</summary>
    public void Notify(BackEndRequest request, int ring)
    {
        if (_unsent.Contains((request, ring)))
            return;
        if (_unanswered.Contains((request, ring)))
        {
            _again.Add((request, ring));
        }
        else if (TryNotify(request, ring) == UnixSocket.WouldBlock)
        {
            _unsent.Add((request, ring));
            _registration?.Update(EpollEvents.In | EpollEvents.Out);
        }
    }

    /// <summary>Answers have come, or there is room.</summary>
    public void OnReady(EpollEvents ready)
    {
        if ((ready & EpollEvents.Out) != 0)
            SendUnsent();
        try
        {
            int received = _socket.ReceiveWithFds(_reply.AsSpan(_have), _fds);
            if (received == UnixSocket.WouldBlock)
                return;
            if (received == 0)
                End(null);
            else if (_fds.Count > 0 || _fds.Truncated)
                End("an answer came with file descriptors");
            else if ((_have += received) == _reply.Length)
                Take();
        }
        catch (LinuxException gone)
        {
            End(gone.Errno == Errno.ECONNRESET ? null : gone.Message);
        }
    }

    public void Dispose()
    {
        _registration?.Dispose();
        _registration = null;
        _fds.Dispose();
        _socket.Dispose();
    }

    private void Take()
    {
        _have = 0;
        var header = MemoryMarshal.Read<MessageHeader>(_reply);
        bool isNotification = _unanswered.TryPeek(out (BackEndRequest Request, int Ring) notified) && header.Request == (uint)notified.Request;
        if ((header.Request != (uint)BackEndRequest.IotlbMsg && !isNotification) || !header.IsVersion1 || !header.IsReply || header.Size != sizeof(ulong))
            End($"request = {header.Request}, flags = 0x{(uint)header.Flags:x}, size = {header.Size} is no answer to what was asked");
        else if (isNotification)
            GoOnNotifying();
        else
            MissAnswered?.Invoke(MemoryMarshal.Read<ulong>(_reply.AsSpan(MessageHeader.Bytes)) != 0);
    }

    private void SendUnsent()
    {
        _unsent.RemoveWhere(one => TryNotify(one.Request, one.Ring) != UnixSocket.WouldBlock);
        if (_unsent.Count == 0)
            _registration?.Update(EpollEvents.In);
    }

    /// <returns>As <see cref="TrySend"/>.</returns>
    private int TryNotify(BackEndRequest request, int ring)
    {
        var payload = new VringState((uint)ring, 0);
        int sent = TrySend(request, MessageFlags.Version1 | MessageFlags.NeedReply, MemoryMarshal.AsBytes(new ReadOnlySpan<VringState>(in payload)));
        if (sent > 0)
            _unanswered.Enqueue((request, ring));
        return sent;
    }

    private void GoOnNotifying()
    {
        (BackEndRequest Request, int Ring) answered = _unanswered.Dequeue();
        if (_again.Remove(answered))
            Notify(answered.Request, answered.Ring);
    }

    private void End(string? reason)
    {
        _registration?.Dispose();
        _registration = null;
        Ended?.Invoke(reason);
    }

    private bool SendIotlb(GuestAddress address, MemoryAccess access, IotlbType type, MessageFlags flags)
    {
        var payload = new IotlbPayload(address.Value, 0, 0, access, type);
        return Send(BackEndRequest.IotlbMsg, flags, MemoryMarshal.AsBytes(new ReadOnlySpan<IotlbPayload>(in payload)));
    }

    private bool Send(BackEndRequest request, MessageFlags flags, ReadOnlySpan<byte> payload) => TrySend(request, flags, payload) > 0;

    /// <returns>More than 0 when it was sent, <see cref="UnixSocket.WouldBlock"/> when there is no room, and 0 when nobody is there.</returns>
    private int TrySend(BackEndRequest request, MessageFlags flags, ReadOnlySpan<byte> payload)
    {
        Span<byte> message = stackalloc byte[MessageHeader.Bytes + IotlbPayload.Bytes];
        message = MessageHeader.Compose(message, (uint)request, flags, payload);
        try
        {
            return _socket.SendWithFds(message, []); // the kernel takes so few bytes whole, or none
        }
        catch (LinuxException)
        {
            return 0;
        }
    }
}

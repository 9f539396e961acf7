using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>Sends messages to a back-end and awaits its answers, one at a time, each within a time limit.</summary>
/// <remarks>
/// An answer is a claim: its number, flags and size are checked before anything of it is used, and its file descriptors are
/// closed unless they were asked for. After a message that failed in any way but a refusal, nobody knows where in the
/// stream the next one starts; the channel then fails for good.
/// </remarks>
internal sealed class FrontEndChannel : IDisposable
{
    private const int Main = 0, BackEnd = 1; // slots

    private readonly UnixSocket _socket;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private readonly PollSet _poll = new(2);
    private readonly byte[] _reply = new byte[MessageHeader.Bytes + MessageRule.MaxPayload];
    private readonly ReceivedFds _fds = new();
    private BackEndRequests? _requests;
    private VhostUserException? _failed;
    private int _owed; // answers to IOTLB_MSG
    private bool _isReceiving;

    /// <param name="socket">The connection; owned from here on.</param>
    /// <param name="timeout">The longest to wait for an answer.</param>
    /// <param name="time">The clock.</param>
    public FrontEndChannel(UnixSocket socket, TimeSpan timeout, TimeProvider time)
    {
        (_socket, _timeout, _time) = (socket, timeout, time);
        socket.Descriptor.SetNonBlocking();
        _poll.Set(Main, socket.Descriptor);
    }

    public FileDescriptor Descriptor => _socket.Descriptor;

    /// <summary>Who is at the other end.</summary>
    public PeerCredentials Peer => _socket.Peer;

    /// <summary>Whether every message is acknowledged (REPLY_ACK).</summary>
    public bool Acknowledges { get; set; }

    /// <summary>The back-end's own requests, to be served while an answer is awaited.</summary>
    public BackEndRequests? Requests
    {
        get => _requests;
        set
        {
            _requests = value;
            _poll.Set(BackEnd, value?.Descriptor);
        }
    }

    /// <summary>Sends a message that has no answer of its own, and awaits its acknowledgement if there is one.</summary>
    /// <exception cref="VhostUserException">The back-end refuses, or fails.</exception>
    public void Send<T>(FrontEndRequest request, T payload, params ReadOnlySpan<FileDescriptor> fds)
        where T : unmanaged => Send(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), fds);

    /// <inheritdoc cref="Send{T}"/>
    public void Send(FrontEndRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<FileDescriptor> fds)
    {
        if (!Acknowledges)
        {
            Transmit(request, MessageFlags.Version1, payload, fds);
            return;
        }

        Transmit(request, MessageFlags.Version1 | MessageFlags.NeedReply, payload, fds);
        ulong answer = MemoryMarshal.Read<ulong>(Receive(request, maxFds: 0, sizeof(ulong)));
        if (answer != 0)
            throw new VhostUserException(VhostUserFailure.Refused, request, $"the back-end refused {NameOf(request)}: it answered {answer}");
    }

    /// <summary>Sends a message and returns the answer, of exactly that type.</summary>
    /// <exception cref="VhostUserException">The back-end fails.</exception>
    public TReply Ask<TReply>(FrontEndRequest request)
        where TReply : unmanaged => MemoryMarshal.Read<TReply>(Ask(request, [], maxFds: 0, Unsafe.SizeOf<TReply>()));

    /// <inheritdoc cref="Ask{TReply}"/>
    public TReply Ask<TPayload, TReply>(FrontEndRequest request, TPayload payload)
        where TPayload : unmanaged
        where TReply : unmanaged =>
        MemoryMarshal.Read<TReply>(Ask(request, MemoryMarshal.AsBytes(new ReadOnlySpan<TPayload>(in payload)), maxFds: 0, Unsafe.SizeOf<TReply>()));

    /// <summary>Sends a message and returns the answer, which has one of some sizes.</summary>
    /// <param name="request">The message.</param>
    /// <param name="payload">What it says.</param>
    /// <param name="maxFds">How many descriptors may come with the answer; <see cref="TakeFd"/>.</param>
    /// <param name="sizes">Bytes that the answer may have.</param>
    /// <exception cref="VhostUserException">The back-end fails.</exception>
    public ReadOnlySpan<byte> Ask(FrontEndRequest request, ReadOnlySpan<byte> payload, int maxFds, params ReadOnlySpan<int> sizes)
        => Ask(request, payload, [], maxFds, sizes);

    /// <summary>As above, with descriptors.</summary>
    public ReadOnlySpan<byte> Ask(FrontEndRequest request, ReadOnlySpan<byte> payload, ReadOnlySpan<FileDescriptor> fds, int maxFds, params ReadOnlySpan<int> sizes)
    {
        Transmit(request, MessageFlags.Version1, payload, fds);
        return Receive(request, maxFds, sizes);
    }

    /// <summary>Sends an IOTLB_MSG, which always has an answer: awaited at once, or, while another one is, together with that.</summary>
    /// <exception cref="VhostUserException">The back-end refuses, or fails.</exception>
    public void SendIotlb(IotlbPayload payload)
    {
        Transmit(FrontEndRequest.IotlbMsg, MessageFlags.Version1, MemoryMarshal.AsBytes(new ReadOnlySpan<IotlbPayload>(in payload)), []);
        _owed++;
        if (!_isReceiving)
            Settle();
    }

    /// <summary>The descriptor that came with the last answer, or null.</summary>
    public FileDescriptor? TakeFd() => _fds.Count > 0 ? _fds.Take(0) : null;

    /// <summary>Looks what the main socket has when nothing was asked: either nothing or the end.</summary>
    /// <exception cref="VhostUserException">The end; or bytes.</exception>
    public void ExpectNothing()
    {
        ThrowIfFailed();
        Settle();
        int received = Read(FrontEndRequest.None, _reply.AsSpan(0, 1));
        if (received > 0)
            throw Fail(VhostUserFailure.BrokenRules, FrontEndRequest.None, "the back-end sent an answer, and nothing was asked");
    }

    /// <summary>Obeys a request of the back-end's if there is one.</summary>
    /// <exception cref="VhostUserException">It broke the rules.</exception>
    public void ServeRequest()
    {
        ThrowIfFailed();
        try
        {
            if (Requests is { IsOpen: true } requests)
                requests.Serve(Acknowledges);
        }
        catch (VhostUserException wrong)
        {
            _failed = wrong;
            throw;
        }
    }

    /// <summary>What the back-end said is wrong in a way that makes it useless: the exception to throw.</summary>
    public VhostUserException Distrust(FrontEndRequest request, string message) => Fail(VhostUserFailure.BrokenRules, request, message);

    public void Dispose()
    {
        _poll.Dispose();
        _fds.Dispose();
        Requests?.Dispose();
        _socket.Dispose();
    }

    public static string NameOf(FrontEndRequest request) => MessageFacts.NameOf((uint)request);

    private void Transmit(FrontEndRequest request, MessageFlags flags, ReadOnlySpan<byte> payload, ReadOnlySpan<FileDescriptor> fds)
    {
        ThrowIfFailed();
        if (!_isReceiving)
            Settle();
        Span<byte> message = stackalloc byte[MessageHeader.Bytes + MessageRule.MaxPayload];
        message = MessageHeader.Compose(message, (uint)request, flags, payload);
        try
        {
            _socket.SendAllWithFds(message, fds, _timeout);
        }
        catch (LinuxException gone) when (gone.Errno is Errno.EPIPE or Errno.ECONNRESET)
        {
            throw Fail(VhostUserFailure.Lost, request, $"the back-end has closed the connection: {NameOf(request)} cannot be sent", gone);
        }
        catch (LinuxException stuck) when (stuck.Errno == Errno.EAGAIN)
        {
            throw Fail(VhostUserFailure.TimedOut, request, $"the back-end has not read {NameOf(request)} within {_timeout.TotalSeconds} s", stuck);
        }
    }

    private ReadOnlySpan<byte> Receive(FrontEndRequest request, int maxFds, params scoped ReadOnlySpan<int> sizes) =>
        Receive(request, _time.GetTimestamp(), maxFds, sizes);

    private ReadOnlySpan<byte> Receive(FrontEndRequest request, long start, int maxFds, params scoped ReadOnlySpan<int> sizes)
    {
        bool isOutermost = !_isReceiving;
        _isReceiving = true;
        try
        {
            return ReceiveInTurn(request, start, maxFds, sizes);
        }
        finally
        {
            _isReceiving &= !isOutermost;
        }
    }

    private ReadOnlySpan<byte> ReceiveInTurn(FrontEndRequest request, long start, int maxFds, scoped ReadOnlySpan<int> sizes)
    {
        _fds.Clear();
        Fill(request, 0, MessageHeader.Bytes, maxFds, start);
        MessageHeader header = MemoryMarshal.Read<MessageHeader>(_reply);
        while (_owed > 0 && header.Request == (uint)FrontEndRequest.IotlbMsg && request != FrontEndRequest.IotlbMsg)
        {
            // The back-end wanted a translation before it could answer.
            TakeAnswer(header, start);
            Fill(request, 0, MessageHeader.Bytes, maxFds, start);
            header = MemoryMarshal.Read<MessageHeader>(_reply);
        }

        if (header.Request != (uint)request)
            throw Distrust(request, $"request = {header.Request} in the answer to {NameOf(request)}, which is {(uint)request}");
        if (header.Flags != (MessageFlags.Version1 | MessageFlags.Reply))
            throw Distrust(request, $"flags = 0x{(uint)header.Flags:x} of the answer to {NameOf(request)}: not version 1 and REPLY");
        if (header.Size > MessageRule.MaxPayload || !sizes.Contains((int)header.Size))
            throw Distrust(request, $"size = 0x{header.Size:x} of the answer to {NameOf(request)}: it has {string.Join(" or ", sizes.ToArray())} bytes");
        Fill(request, MessageHeader.Bytes, (int)header.Size, maxFds, start);
        return _reply.AsSpan(MessageHeader.Bytes, (int)header.Size);
    }

    /// <summary>Awaits the answers that are owed to IOTLB_MSGs, all within one time limit: a back-end that misses something else before
    /// each answer would never have given the last.</summary>
    private void Settle()
    {
        long start = _time.GetTimestamp();
        while (_owed > 0)
        {
            _owed--;
            MustBeGranted(MemoryMarshal.Read<ulong>(Receive(FrontEndRequest.IotlbMsg, start, maxFds: 0, sizeof(ulong))));
        }
    }

    private void TakeAnswer(MessageHeader header, long start)
    {
        if (header.Flags != (MessageFlags.Version1 | MessageFlags.Reply) || header.Size != sizeof(ulong))
            throw Distrust(FrontEndRequest.IotlbMsg, $"flags = 0x{(uint)header.Flags:x}, size = 0x{header.Size:x} of the answer to IOTLB_MSG: REPLY with 8 bytes was due");
        Fill(FrontEndRequest.IotlbMsg, MessageHeader.Bytes, sizeof(ulong), maxFds: 0, start);
        _owed--;
        MustBeGranted(MemoryMarshal.Read<ulong>(_reply.AsSpan(MessageHeader.Bytes)));
    }

    /// <summary>A translation is no wish: who refuses it can do nothing with what it belongs to.</summary>
    private void MustBeGranted(ulong answer)
    {
        if (answer != 0)
            throw Fail(VhostUserFailure.Refused, FrontEndRequest.IotlbMsg, $"the back-end refused IOTLB_MSG: it answered {answer}");
    }

    private void Fill(FrontEndRequest request, int from, int count, int maxFds, long start)
    {
        for (int have = 0; have < count;)
        {
            TimeSpan left = _timeout - _time.GetElapsedTime(start);
            if (left < TimeSpan.Zero) // also one that trickles, or that asks us one thing after the other
                throw Fail(VhostUserFailure.TimedOut, request, $"the back-end has not answered {NameOf(request)} within {_timeout.TotalSeconds} s ({from + have} bytes have come)");
            int received = Read(request, _reply.AsSpan(from + have, count - have));
            if (received == UnixSocket.WouldBlock)
            {
                _poll.Watch(BackEnd, Requests is { IsOpen: true });
                _poll.Wait(left);
                if (_poll.IsReady(BackEnd))
                    ServeRequest();
                continue;
            }

            have += received;
            if (_fds.Truncated || _fds.Count > maxFds)
                throw Distrust(request, $"the answer to {NameOf(request)} came with {_fds.Count} file descriptors: {(maxFds == 0 ? "none" : $"{maxFds}")} belong there");
        }
    }

    /// <returns>Bytes, at least one, or <see cref="UnixSocket.WouldBlock"/>.</returns>
    private int Read(FrontEndRequest request, Span<byte> destination)
    {
        int received;
        try
        {
            received = _socket.ReceiveWithFds(destination, _fds);
        }
        catch (LinuxException reset) when (reset.Errno == Errno.ECONNRESET)
        {
            received = 0;
        }

        return received != 0
            ? received
            : throw Fail(VhostUserFailure.Lost, request, request == FrontEndRequest.None
                ? "the back-end has closed the connection"
                : $"the back-end has closed the connection and not answered {NameOf(request)}");
    }

    private VhostUserException Fail(VhostUserFailure failure, FrontEndRequest request, string message, Exception? inner = null) =>
        _failed ??= new VhostUserException(failure, request, message, inner);

    private void ThrowIfFailed()
    {
        if (_failed is not null)
            throw new VhostUserException(_failed.Failure, _failed.Request, _failed.Message, _failed);
    }
}

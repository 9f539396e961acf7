using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>The back-end's own requests, over the socket that SET_BACKEND_REQ_FD gives it.</summary>
/// <remarks>
/// They are served whenever this front-end waits, also for an answer: a back-end may wait for ours before it gives its own. Of
/// all of them only CONFIG_CHANGE belongs to what is negotiated here, and it has no payload.
/// </remarks>
internal sealed class BackEndRequests : IDisposable
{
    private readonly UnixSocket _socket;
    private readonly Action _configurationChanged;
    private readonly byte[] _header = new byte[MessageHeader.Bytes];
    private readonly ReceivedFds _fds = new(capacity: 1);
    private int _have;

    private BackEndRequests(UnixSocket socket, Action configurationChanged) => (_socket, _configurationChanged) = (socket, configurationChanged);

    public FileDescriptor Descriptor => _socket.Descriptor;

    /// <summary>Whether the back-end may still ask for something.</summary>
    public bool IsOpen { get; private set; } = true;

    /// <summary>Makes the socket, and gives the back-end its end. That one blocks, as it does with QEMU.</summary>
    public static BackEndRequests Open(FrontEndChannel channel, Action configurationChanged)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using (theirs)
        {
            var requests = new BackEndRequests(ours, configurationChanged);
            try
            {
                ours.Descriptor.SetNonBlocking();
                channel.Send(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
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
            received = _socket.ReceiveWithFds(_header.AsSpan(_have), _fds);
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
        if (_have < MessageHeader.Bytes)
            return;
        _have = 0;
        Obey(MemoryMarshal.Read<MessageHeader>(_header), acknowledges);
    }

    public void Dispose()
    {
        IsOpen = false;
        _fds.Dispose();
        _socket.Dispose();
    }

    private void Obey(MessageHeader header, bool acknowledges)
    {
        if (!header.IsVersion1 || header.IsReply)
            throw Wrong($"flags = 0x{(uint)header.Flags:x} of the back-end's request {header.Request}: not a request of version 1");
        if (header.Request != (uint)BackEndRequest.ConfigChange)
            throw Wrong($"the back-end's request {header.Request} belongs to a protocol feature that was not negotiated");
        if (header.Size != 0)
            throw Wrong($"size = {header.Size} of the back-end's CONFIG_CHANGE: it has 0 bytes");
        _configurationChanged();
        if (acknowledges && (header.Flags & MessageFlags.NeedReply) != 0)
            Acknowledge(header.Request);
    }

    private void Acknowledge(uint request)
    {
        Span<byte> reply = stackalloc byte[MessageHeader.Bytes + sizeof(ulong)];
        ReadOnlySpan<byte> done = [0, 0, 0, 0, 0, 0, 0, 0];
        MessageHeader.Compose(reply, request, MessageFlags.Version1 | MessageFlags.Reply, done);
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

using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>The socket for our own requests to the front-end (SET_BACKEND_REQ_FD).</summary>
/// <remarks>
/// Requests are sent without NEED_REPLY and nobody waits: QEMU answers CONFIG_CHANGE only after it has asked us
/// GET_CONFIG on the other socket, so a thread that waited here would wait for ever.
/// </remarks>
internal sealed class BackEndChannel(FileDescriptor descriptor) : IDisposable
{
    private readonly UnixSocket _socket = UnixSocket.Adopt(descriptor, nonBlocking: true);

    /// <summary>Sends CONFIG_CHANGE. One that cannot be sent is the front-end's loss, not the device's.</summary>
    public bool SendConfigChange()
    {
        Span<byte> message = stackalloc byte[MessageHeader.Bytes];
        MessageHeader.Compose(message, (uint)BackEndRequest.ConfigChange, MessageFlags.Version1, []);
        try
        {
            return _socket.SendWithFds(message, []) == MessageHeader.Bytes;
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    public void Dispose() => _socket.Dispose();
}

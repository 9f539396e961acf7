using System.Text;
using VirtioSharp.Linux;
using VirtioSharp.Qemu.Qtest;

namespace VirtioSharp.Qemu.Tests.Qtest;

/// <summary>The other end of a qtest connection, which says what the test wants.</summary>
internal sealed class ScriptedQemu : IDisposable
{
    private readonly UnixSocket _socket;

    public ScriptedQemu(TimeSpan? patience = null)
    {
        (UnixSocket ours, _socket) = UnixSocket.Pair();
        Client = new QtestClient(ours, patience ?? Guests.Patience, () => "the words of QEMU");
    }

    public QtestClient Client { get; }

    /// <summary>What the client is to read, whenever it does.</summary>
    public void Says(string text) => _socket.SendAllWithFds(Encoding.ASCII.GetBytes(text), [], Guests.Patience);

    /// <summary>What the client has sent, once there is something.</summary>
    public string Hears()
    {
        byte[] buffer = new byte[4096];
        using ReceivedFds none = new(1);
        return Encoding.ASCII.GetString(buffer, 0, _socket.ReceiveWithFds(buffer, none));
    }

    public void Leaves() => _socket.Dispose();

    public void Dispose()
    {
        Client.Dispose();
        _socket.Dispose();
    }
}

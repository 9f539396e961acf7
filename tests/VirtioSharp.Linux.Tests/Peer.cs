namespace VirtioSharp.Linux.Tests;

/// <summary>Two connected ends; what one is told the other sees.</summary>
internal sealed class Peer : IDisposable
{
    private Peer(UnixSocket here, UnixSocket there) => (Here, There) = (here, there);

    public UnixSocket Here { get; }

    public UnixSocket There { get; }

    /// <summary>The far end is closed, all its copies included: the near end reads an end of stream.</summary>
    public bool ThereIsClosed
    {
        get
        {
            using ReceivedFds fds = new();
            return Here.ReceiveWithFds(new byte[1], fds) == 0;
        }
    }

    public static Peer Connect(bool nonBlocking = true)
    {
        (UnixSocket here, UnixSocket there) = UnixSocket.Pair(nonBlocking);
        return new Peer(here, there);
    }

    public void Dispose()
    {
        Here.Dispose();
        There.Dispose();
    }
}

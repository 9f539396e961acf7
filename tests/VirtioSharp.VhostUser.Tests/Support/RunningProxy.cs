using System.Collections.Concurrent;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Proxy;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A proxy on a thread of its own before some back-end's socket.</summary>
internal sealed class RunningProxy : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly BlockingCollection<ProxiedSession> _ended = [];
    private readonly ConcurrentQueue<ProxiedMessage> _messages = [];
    private readonly VhostUserProxy _proxy;
    private readonly Thread _thread;

    public RunningProxy(string backEndPath)
    {
        _proxy = new VhostUserProxy(UnixListener.Listen(_directory["p"]), backEndPath) { MessagePassed = _messages.Enqueue, SessionEnded = _ended.Add };
        _thread = new Thread(_proxy.Run) { Name = "proxy", IsBackground = true };
        _thread.Start();
    }

    public IReadOnlyCollection<ProxiedMessage> Messages => _messages;

    public FrontEnd Connect() => new(UnixSocket.Connect(_directory["p"]));

    /// <summary>The session that ends next.</summary>
    public ProxiedSession NextEnd() => _ended.TryTake(out ProxiedSession? ended, Patience.Limit) ? ended : throw new TimeoutException("no session has ended");

    /// <summary>Waits for a message that fits.</summary>
    public ProxiedMessage Find(Func<ProxiedMessage, bool> fits)
    {
        Assert.True(Patience.Until(() => _messages.Any(fits)), $"no such message; there are {string.Join(", ", _messages.Select(message => message.Name))}");
        return _messages.First(fits);
    }

    /// <summary>Everything that was remarked.</summary>
    public IReadOnlyList<string> Remarks => [.. _messages.SelectMany(message => message.Remarks)];

    public void Forget() => _messages.Clear();

    public void Dispose()
    {
        _proxy.Stop();
        Assert.True(_thread.Join(Patience.Limit), "the proxy does not stop");
        _proxy.Dispose();
        _directory.Dispose();
        _ended.Dispose();
    }
}

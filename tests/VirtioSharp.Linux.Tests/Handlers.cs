namespace VirtioSharp.Linux.Tests;

internal sealed class Handler(Action<EpollEvents> onReady) : IReadyHandler
{
    public void OnReady(EpollEvents ready) => onReady(ready);
}

internal sealed class Deferred(Action onTurn) : IDeferred
{
    public void TakeTurn() => onTurn();
}

internal sealed class Poller(Func<bool> poll, Func<bool>? beforeSleep = null) : IIdlePoller
{
    public bool Poll() => poll();

    public bool BeforeSleep() => beforeSleep?.Invoke() ?? false;
}

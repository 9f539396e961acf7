namespace VirtioSharp.Linux;

/// <summary>Looks for work before the loop goes to sleep, where waiting for a notification would cost more than looking.</summary>
public interface IIdlePoller
{
    /// <summary>Looks once, quickly, and serves what is there. Called on the loop's thread, again and again for
    /// <see cref="EventLoop.BusyPollTime"/>.</summary>
    /// <returns>True when there was work.</returns>
    bool Poll();

    /// <summary>
    /// The loop is about to sleep: ask for notifications again, <i>then</i> look a last time. Work that came in between
    /// would otherwise wait for the next notification, which may never come.
    /// </summary>
    /// <returns>True when there was work, which keeps the loop awake.</returns>
    bool BeforeSleep() => false;
}

namespace VirtioSharp.Linux;

/// <summary>Is told when its descriptor is ready.</summary>
public interface IReadyHandler
{
    /// <summary>Called on the loop's thread. It is called again while the condition lasts, so drain or pause it.</summary>
    /// <param name="ready">What the descriptor is ready for, of what was asked for, and errors and hang-ups always.
    /// A handler that ignores <see cref="EpollEvents.HangUp"/> spins: unregister then.</param>
    void OnReady(EpollEvents ready);
}

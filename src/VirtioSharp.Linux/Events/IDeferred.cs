namespace VirtioSharp.Linux;

/// <summary>Work that had used up its turn and goes on after everybody else had theirs.</summary>
public interface IDeferred
{
    /// <summary>Called once per <see cref="EventLoop.Defer"/>, on the loop's thread. It may defer itself again.</summary>
    void TakeTurn();
}

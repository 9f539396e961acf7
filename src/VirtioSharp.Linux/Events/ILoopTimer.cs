namespace VirtioSharp.Linux;

/// <summary>Calls back once, after a while, on the loop's thread.</summary>
public interface ILoopTimer
{
    /// <summary>True between <see cref="Arm"/> and the callback.</summary>
    bool IsArmed { get; }

    /// <summary>Calls back after this time, in place of whenever it was armed for before.</summary>
    /// <param name="dueIn">Zero means with the next round of the loop.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    void Arm(TimeSpan dueIn);

    /// <summary>Does not call back any more. Nothing happens when it is not armed.</summary>
    void Disarm();
}

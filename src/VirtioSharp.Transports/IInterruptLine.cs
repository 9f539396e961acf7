namespace VirtioSharp.Transports;

/// <summary>The far end of one interrupt line, as a driver has it: a level that the device raises and that acknowledging lowers.</summary>
public interface IInterruptLine
{
    /// <summary>Whether it is raised now.</summary>
    bool IsRaised { get; }

    /// <summary>Waits until it is raised, or could have been: look again. Returns at once while it is.</summary>
    /// <param name="timeout">The longest to wait; zero only looks.</param>
    /// <returns>False when the time ran out, or when nothing can raise it any more.</returns>
    bool Wait(TimeSpan timeout);
}

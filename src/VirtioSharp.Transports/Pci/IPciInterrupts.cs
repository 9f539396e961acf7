namespace VirtioSharp.Transports.Pci;

/// <summary>The far end of a function's interrupts, as its driver uses them. The driver programs the MSI-X table itself.</summary>
public interface IPciInterrupts
{
    /// <summary>How many different messages the carrier can receive; 0: only the line.</summary>
    int MaxMessages { get; }

    /// <summary>Whether the function's INTx line leads anywhere.</summary>
    bool HasLine { get; }

    /// <summary>What to write into the MSI-X table so that <see cref="TakeMessage"/> sees it.</summary>
    /// <param name="number">0 to <see cref="MaxMessages"/> − 1.</param>
    PciMessage MessageFor(int number);

    /// <summary>Whether this message has come since the last call.</summary>
    bool TakeMessage(int number);

    /// <summary>Whether the INTx line is raised now. Reading the ISR status lowers it.</summary>
    bool IsLineRaised { get; }

    /// <summary>Waits until a message has come or the line was raised, or could have been: look again.</summary>
    /// <param name="timeout">The longest to wait; <see cref="TimeSpan.MaxValue"/>: for ever.</param>
    /// <returns>False when the time ran out, or when nothing can come any more.</returns>
    bool Wait(TimeSpan timeout);
}

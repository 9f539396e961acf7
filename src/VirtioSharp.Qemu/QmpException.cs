namespace VirtioSharp.Qemu;

/// <summary>QEMU refused a command, in its own words, or closed the control connection.</summary>
public sealed class QmpException : Exception
{
    /// <summary>A failure without a story.</summary>
    public QmpException()
    {
    }

    /// <summary>A refused command and the reason.</summary>
    public QmpException(string message)
        : base(message)
    {
    }

    /// <summary>A refused command, the reason and what it came from.</summary>
    public QmpException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

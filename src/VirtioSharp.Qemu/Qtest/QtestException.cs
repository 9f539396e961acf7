namespace VirtioSharp.Qemu.Qtest;

/// <summary>QEMU refused a qtest command, in its own words; the connection goes on.</summary>
public sealed class QtestException : Exception
{
    /// <summary>A failure without a story.</summary>
    public QtestException()
    {
    }

    /// <summary>A refused command and the reason.</summary>
    public QtestException(string message)
        : base(message)
    {
    }

    /// <summary>A refused command, the reason and what it came from.</summary>
    public QtestException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

namespace VirtioSharp.Backends.Nbd;

/// <summary>What is wrong with an NBD server.</summary>
public enum NbdFailure
{
    /// <summary>The address cannot be understood, or asks for what is not here (TLS).</summary>
    Address,

    /// <summary>Nobody is there, or the connection broke.</summary>
    Unreachable,

    /// <summary>The server says no, in the protocol's words.</summary>
    Refused,

    /// <summary>What the server sent breaks the protocol.</summary>
    BrokeProtocol,

    /// <summary>The export is not what it was before the connection was lost: another disk, as far as a driver is concerned.</summary>
    Changed,
}

/// <summary>An NBD server cannot be used, or not any more. Costs its connection, and no more.</summary>
public sealed class NbdException : IOException
{
    /// <summary>A failure.</summary>
    /// <param name="failure">Which kind.</param>
    /// <param name="message">Names what was wrong, and its value.</param>
    /// <param name="inner">Why, if something else said so.</param>
    public NbdException(NbdFailure failure, string message, Exception? inner = null)
        : base(message, inner) => Failure = failure;

    /// <summary>Which kind.</summary>
    public NbdFailure Failure { get; }
}

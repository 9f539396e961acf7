namespace VirtioSharp.Check;

/// <summary>How a case ended.</summary>
public enum Verdict
{
    /// <summary>The daemon does what is required.</summary>
    Pass,

    /// <summary>It does not.</summary>
    Fail,

    /// <summary>It could not be found out; the row says why.</summary>
    Skip,
}

/// <summary>The daemon does not do what a case requires; the message says what was seen.</summary>
internal sealed class FailedException(string seen) : Exception(seen);

/// <summary>A case does not apply here; the message says why.</summary>
internal sealed class SkippedException(string reason) : Exception(reason);

/// <summary>No connection could be made, so nothing can be said about the daemon.</summary>
public sealed class UnreachableException(string message) : Exception(message);

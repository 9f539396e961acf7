namespace VirtioSharp.Qemu;

/// <summary>
/// A guest could not be made, did not boot, or ended early. The message is one line and holds QEMU's or the
/// guest's own last words.
/// </summary>
public sealed class GuestException : Exception
{
    /// <summary>A failure without a story.</summary>
    public GuestException()
    {
    }

    /// <summary>A failure and what to do about it.</summary>
    public GuestException(string message)
        : base(message)
    {
    }

    /// <summary>A failure, what to do about it and what it came from.</summary>
    public GuestException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

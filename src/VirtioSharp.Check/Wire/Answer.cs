using VirtioSharp.Linux;

namespace VirtioSharp.Check.Wire;

/// <summary>What came, or did not come, from the daemon.</summary>
internal enum AnswerKind
{
    /// <summary>A message.</summary>
    Message,
    /// <summary>The end of the connection.</summary>
    Closed,
    /// <summary>Nothing, within the time allowed.</summary>
    Silence,
}

/// <summary>One answer, whole.</summary>
internal sealed record Answer(AnswerKind Kind, uint Request = 0, uint Flags = 0, byte[]? Body = null, FileDescriptor? Fd = null)
{
    public byte[] Payload => Body ?? [];
}

/// <summary>What a daemon did with something that it need not accept.</summary>
internal enum Outcome
{
    /// <summary>Acknowledged with 0.</summary>
    Accepted,
    /// <summary>Acknowledged with another number.</summary>
    Refused,
    /// <summary>Closed the connection.</summary>
    Closed,
    /// <summary>Acknowledged with 0, and then closed the connection.</summary>
    Dropped,
    /// <summary>Said nothing of it (REPLY_ACK is not there) and answers the next message.</summary>
    WentOn,
}

/// <summary>The same in words.</summary>
internal static class Outcomes
{
    public static string Text(this Outcome outcome) => outcome switch
    {
        Outcome.Accepted => "acknowledged as done",
        Outcome.Refused => "refused",
        Outcome.Closed => "connection closed",
        Outcome.Dropped => "acknowledged as done, then connection closed",
        _ => "ignored",
    };

    /// <summary>Whether there is no connection any more.</summary>
    public static bool IsTheEnd(this Outcome outcome) => outcome is Outcome.Closed or Outcome.Dropped;

    /// <summary>Whether what was sent is not in force.</summary>
    public static bool IsNo(this Outcome outcome) => outcome == Outcome.Refused || outcome.IsTheEnd();
}

namespace VirtioSharp.Qemu;

/// <summary>
/// A line of the guest's console. A line <c>@vio key value…</c> is something the job wanted to tell; any other
/// line has no key.
/// </summary>
/// <param name="Elapsed">Time since QEMU was started.</param>
/// <param name="Line">The line as it came.</param>
public sealed record GuestEvent(TimeSpan Elapsed, string Line)
{
    /// <summary>What an event's line starts with.</summary>
    public const string Marker = "@vio";

    /// <summary>The key of the event at each boot, when modules are in and the job is next. Its value is the uptime in seconds.</summary>
    public const string Up = "up";

    /// <summary>The key of the last event: the job ended. Its value is the job's exit code.</summary>
    public const string Done = "done";

    /// <summary>The event's key, or null for a line that is just text.</summary>
    public string? Key { get; } = Line.StartsWith(Marker + " ", StringComparison.Ordinal) ? Line.Split(' ')[1] : null;

    /// <summary>What follows the key, or the whole line.</summary>
    public string Value => Key is null ? Line : Line[Math.Min(Line.Length, Marker.Length + Key.Length + 2)..];
}

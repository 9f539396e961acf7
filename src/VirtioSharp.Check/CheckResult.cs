namespace VirtioSharp.Check;

/// <summary>A row of the result.</summary>
/// <param name="Case">What was required.</param>
/// <param name="Verdict">Whether it is so.</param>
/// <param name="Seen">What was seen, or why nothing was.</param>
/// <param name="Took">How long it took.</param>
public sealed record CheckResult(CheckCase Case, Verdict Verdict, string Seen, TimeSpan Took);

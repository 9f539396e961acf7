namespace VirtioSharp.Fuzz.Engine;

/// <summary>A rule that must hold whatever the peer does was broken.</summary>
/// <param name="message">Which.</param>
internal sealed class FindingException(string message) : Exception(message)
{
    public static void Unless(bool holds, string rule)
    {
        if (!holds)
            throw new FindingException(rule);
    }
}

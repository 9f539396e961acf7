using System.Globalization;
using System.Text.Json;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Proxy;

namespace VirtioSharp.Cli.Proxy;

/// <summary>What passes a proxy, on standard output as it passes.</summary>
internal static class ProxyLines
{
    public static void WriteText(int session, ProxiedMessage message)
    {
        string answered = message.Took is { } took ? Line($" answered after {took.TotalMilliseconds:F3} ms") : "";
        string only = message.Fields.Count == 1 ? $"  {message.Fields[0]}" : "";
        Console.WriteLine(Line($"{message.At.TotalMilliseconds,11:F3} ms  {Way(message),-23}  {message.Name}{answered}{only}").TrimEnd());
        if (message.Fields.Count > 1)
            WriteAll("  ", message.Fields);
        WriteAll("  with ", message.Descriptors);
        WriteAll("! ", message.Remarks);
    }

    public static void WriteJson(int session, ProxiedMessage message) =>
        Console.WriteLine(JsonSerializer.Serialize(TracedMessage.Of(session, message), SessionTraceJson.Line.TracedMessage));

    public static void WriteEnd(ProxiedSession session)
    {
        string agreed = session.ProtocolFeatures is { } protocol ? $"; protocol: {ProtocolFeatureSheet.Describe(protocol)}" : "";
        string features = session.Features is { } accepted ? $"; features: {accepted}" : "";
        Console.WriteLine($"session {session.Number} ended: {Ending(session.Ended)}{features}{agreed}");
    }

    /// <summary>Why a session ended, null standing for no reason but that it was over.</summary>
    public static string Ending(string? ended) => ended ?? "the front-end left in good order";

    /// <summary>Who sent it to whom; a second line of dashes for the back-end's own socket.</summary>
    private static string Way(ProxiedMessage message) => (message.Sender, message.IsBackEndChannel) switch
    {
        (ProxySender.FrontEnd, false) => "front-end ─► back-end",
        (ProxySender.BackEnd, false) => "front-end ◄─ back-end",
        (ProxySender.FrontEnd, true) => "front-end ═► back-end",
        (ProxySender.BackEnd, true) => "front-end ◄═ back-end",
        _ => "proxy",
    };

    private static void WriteAll(string before, IReadOnlyList<string> lines)
    {
        foreach (string line in lines)
            Console.WriteLine($"{"",16}{before}{line}");
    }

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

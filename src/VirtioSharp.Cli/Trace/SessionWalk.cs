using VirtioSharp.Cli.Proxy;
using VirtioSharp.Transports.Tracing;
using VirtioSharp.VhostUser.Proxy;

namespace VirtioSharp.Cli.Trace;

/// <summary>A saved vhost-user session as a walk: the front-end stands on the driver's side, the back-end on the device's.</summary>
/// <remarks>A request that is answered is one step that lasts until its answer, with the back-end's part inside.</remarks>
internal static class SessionWalk
{
    public static Walk Of(TracedSession session)
    {
        var walk = new Walk();
        var answers = new Dictionary<TracedMessage, TracedMessage>(ReferenceEqualityComparer.Instance);
        foreach (bool channel in (ReadOnlySpan<bool>)[false, true])
            Match(session.Messages.Where(message => message.IsBackEndChannel == channel), answers);
        foreach (TracedMessage message in session.Messages.Where(message => !message.IsReply))
        {
            TracedMessage? answer = answers.GetValueOrDefault(message);
            TimeSpan at = TimeSpan.FromMicroseconds(message.AtMicroseconds);
            TimeSpan took = TimeSpan.FromMicroseconds(answer?.TookMicroseconds ?? 0);
            WalkSide side = Side(message.Sender);
            string name = message.Name.Length > 0 ? message.Name : "the proxy says";
            walk.Add(side, name, "", depth: 0, at, took, Details(message));
            if (answer is not null)
                walk.Add(Side(answer.Sender), $"answer to {message.Name}", "", depth: 1, at, took, Details(answer));
        }

        return walk;
    }

    /// <summary>Answers come in the order of what they answer.</summary>
    private static void Match(IEnumerable<TracedMessage> messages, Dictionary<TracedMessage, TracedMessage> answers)
    {
        List<TracedMessage> asked = [];
        foreach (TracedMessage message in messages)
        {
            if (!message.IsReply)
            {
                asked.Add(message);
                continue;
            }

            int question = asked.FindIndex(other => other.Request == message.Request && !answers.ContainsKey(other)
                && Math.Abs(other.AtMicroseconds - (message.AtMicroseconds - (message.TookMicroseconds ?? 0))) < 1);
            if (question >= 0)
                answers[asked[question]] = message;
        }
    }

    private static WalkSide Side(ProxySender sender) => sender switch
    {
        ProxySender.FrontEnd => WalkSide.Driver,
        ProxySender.BackEnd => WalkSide.Device,
        _ => WalkSide.Transport,
    };

    private static IEnumerable<string> Details(TracedMessage message) =>
        [.. message.Fields, .. message.Descriptors.Select(fd => $"with {fd}"), .. message.Remarks.Select(remark => $"! {remark}")];
}

using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>Front-ends that come and go.</summary>
internal static class Sessions
{
    private static readonly string ListensAgain = From.VhostUser("Communication: an optional reconnection mechanism") + "; not listening again is what users report most";

    public static CheckCase[] All { get; } =
    [
        new("session-after-session", ListensAgain, "After a front-end has left the next one is served.", bench =>
        {
            StaysOn(bench);
            for (int i = 0; i < 20; i++)
            {
                bench.ServeNewSession();
                bench.Clear();
            }

            return "20 sessions in a row";
        }),
        new("session-connect-and-leave", ListensAgain, "A connection on which nothing is said costs nothing.", bench =>
        {
            StaysOn(bench);
            for (int i = 0; i < 20; i++)
                bench.Connect().Dispose();
            return "20 times";
        }),
        new("session-second-waits", From.VhostUser("Communication"), "A second connection does not disturb the first; it waits, is served, or is closed.", bench =>
        {
            FrontEnd first;
            Session? session = null;
            if (bench.CanMakeRequests)
                first = (session = bench.Start()).Front;
            else
                first = bench.Negotiate();
            FrontEnd second;
            try
            {
                second = bench.ConnectBeside();
            }
            catch (UnreachableException refused)
            {
                session?.Serve();
                first.Barrier();
                return $"refused ({refused.Message})";
            }

            second.TrySend(Request.GetFeatures, FrontEnd.Version, []);
            session?.Serve(3);
            first.Barrier();
            Answer answer = second.Receive(bench.Pause);
            session?.Serve(3);
            first.Barrier();
            if (answer.Kind != AnswerKind.Silence)
                return answer.Kind == AnswerKind.Closed ? "the second is closed" : "both are served";
            first.Dispose();
            return second.Receive().Kind switch
            {
                AnswerKind.Message => "the second waits until the first has left",
                AnswerKind.Closed => "the second is closed when the first has left",
                _ => throw new FailedException("the second connection is left without an answer when the first has gone"),
            };
        }),
        new("session-ends-with-requests", ListensAgain, "A front-end that leaves with requests under way costs nothing.", bench =>
        {
            for (int i = 0; i < 20; i++)
            {
                Session session = bench.Start();
                for (int j = 0; j < 10; j++)
                    session.OfferGood();
                session.Ring.Kick.Signal();
                bench.Clear();
            }

            return "20 times, ten requests each";
        }, Needs.Ring),
        new("session-ends-in-handshake", ListensAgain, "A front-end that leaves at any point of the handshake costs nothing.", bench =>
        {
            Action<Session>[] steps =
            [
                session => session.SetFeatures(), session => session.ShareMemory(), session => session.Describe(),
                session => session.SetKick(), session => session.Enable(), session => session.StopRing(),
            ];
            for (int count = 0; count <= steps.Length; count++)
            {
                Session session = bench.Prepare();
                foreach (Action<Session> step in steps.Take(count))
                    step(session);
                bench.Clear();
            }

            return $"after each of {steps.Length} steps";
        }),
        new("session-goes-on", From.VhostUser("SET_VRING_BASE; Communication: reconnection"), "A front-end that comes back with the used index as base loses no request and gets none twice.", bench =>
        {
            GuestRegion ram = bench.Ram();
            Session session = Open(bench, ram, at: 0);
            for (int i = 0; i < 5; i++)
            {
                session.Serve(3);
                ushort at = session.Split.UsedIndex;
                session.Dispose();
                session = Open(bench, ram, at);
            }

            session.Serve();
            return "five reconnections";
        }, Needs.Ring),
        new("session-with-backlog", From.VhostUser("Inflight I/O tracking: if virtqueue is processed in order …"), "Requests that were available but not used when the connection was lost are served to the next.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            var request = session.OfferGood();
            session.Describe(); // base = available index: the request lies before it
            session.Front.Do(Request.SetVringBase, Payload.State(0, 0));
            session.Ring.Kick.Signal();
            session.SetKick();
            session.Enable();
            session.TakeGood(request);
            session.Serve();
            return "served from the base given";
        }, Needs.Ring),
    ];

    private static void StaysOn(Bench bench)
    {
        if (bench.EndsWithFrontEnd)
            throw new SkippedException("the daemon ends when its front-end leaves; it is started again for each session");
    }

    /// <summary>A session over memory and ring that are there already.</summary>
    private static Session Open(Bench bench, GuestRegion ram, ushort at)
    {
        Session session = bench.Prepare(Plan.Usual with { At = at }, ram);
        session.SetFeatures();
        session.ShareMemory();
        session.StartRing();
        return session;
    }
}

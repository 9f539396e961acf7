using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>The messages of a session in every order that front-ends use, and some again.</summary>
internal static class Ordering
{
    private const string OnTheFly = "Ring states: the back-end must support changing some configuration aspects on the fly";

    public static CheckCase[] All { get; } =
    [
        new("order-call-and-err-first", From.VhostUser("SET_VRING_CALL, SET_VRING_ERR; QEMU sends them before any memory"),
            "SET_VRING_CALL and SET_VRING_ERR are accepted before memory and ring are known.", bench =>
        {
            Session session = bench.Prepare();
            session.Front.Do(Request.SetVringCall, Payload.U64(0), session.Ring.Call.Descriptor);
            session.Front.Do(Request.SetVringErr, Payload.U64(0), session.Ring.Error.Descriptor);
            session.Front.Barrier();
            if (!bench.CanMakeRequests)
                return "accepted";
            session.SetFeatures();
            session.ShareMemory();
            session.StartRing();
            session.Serve();
            return "accepted, and a request is served later";
        }),
        new("order-kick-before-enable", From.VhostUser("Ring states"), "A request kicked while the ring was disabled is answered once it is enabled.", bench =>
        {
            Session session = Described(bench);
            session.SetKick();
            var request = session.OfferGood();
            session.Ring.Kick.Signal();
            session.Front.Barrier();
            Thread.Sleep(20);
            bool early = session.Split.UsedIndex != 0;
            session.Enable();
            session.Ring.Kick.Signal();
            session.TakeGood(request);
            return early ? "answered while disabled already" : "answered when enabled";
        }, Needs.Ring),
        new("order-enable-before-kick", From.VhostUser("Ring states: the enabled state is tracked while a ring is stopped"), "A ring may be enabled before it is started.", bench =>
        {
            Session session = Described(bench);
            session.Enable();
            var request = session.OfferGood();
            session.Ring.Kick.Signal();
            session.SetKick();
            session.TakeGood(request);
            return "served";
        }, Needs.Ring),
        new("order-kick-pending", From.VhostUser("Ring states: the back-end must start a ring upon detecting that the descriptor is readable"),
            "A kick that is pending when its descriptor arrives is not lost.", bench =>
        {
            Session session = Described(bench);
            session.Enable();
            var request = session.OfferGood();
            session.Ring.Kick.Signal();
            session.SetKick();
            session.TakeGood(request);
            session.Serve(3);
            return "served without a second kick";
        }, Needs.Ring),
        new("order-address-base-number", From.VhostUser("Front-end message types: no order is given"), "SET_VRING_ADDR may come before SET_VRING_BASE and SET_VRING_NUM.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Front.Do(Request.SetVringAddr, session.Ring.Address);
            session.Front.Do(Request.SetVringBase, Payload.State(0, session.Ring.Base));
            session.Front.Do(Request.SetVringNum, Payload.State(0, (uint)session.Ring.Size));
            session.Front.Do(Request.SetVringCall, Payload.U64(0), session.Ring.Call.Descriptor);
            session.SetKick();
            session.Enable();
            session.Serve(3);
            return "served";
        }, Needs.Ring),
        new("order-memory-after-ring", From.MayClose, "A ring described before its memory is served, or clearly refused.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            Outcome outcome = session.Front.Attempt(Request.SetVringAddr, session.Ring.Address);
            if (outcome.IsNo())
                return outcome.Text();
            session.ShareMemory();
            session.StartRing();
            session.Serve();
            return "served";
        }, Needs.Ring),
        new("order-features-last", From.VhostUser("SET_FEATURES; QEMU's blk sends it again after the ring's messages"), "SET_FEATURES may come after memory and ring.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Describe();
            session.SetFeatures();
            session.SetKick();
            session.Enable();
            session.Serve(3);
            return "served";
        }, Needs.Ring),
        new("order-features-again", From.VhostUser(OnTheFly), "SET_FEATURES with the same features, while requests are under way, loses none.", bench =>
        {
            Session session = bench.Start();
            for (int i = 0; i < 50; i++)
            {
                var request = session.OfferGood();
                session.SetFeatures();
                session.Ring.Kick.Signal();
                session.SetFeatures();
                session.TakeGood(request);
            }

            return "50 requests among 100 SET_FEATURES";
        }, Needs.Ring),
        new("order-enable-toggled", From.VhostUser("SET_VRING_ENABLE"), "A ring that is disabled and enabled again loses no request.", bench =>
        {
            Session session = bench.Start();
            for (int i = 0; i < 50; i++)
            {
                session.Enable(false);
                var request = session.OfferGood();
                session.Ring.Kick.Signal();
                session.Enable();
                session.Ring.Kick.Signal();
                session.TakeGood(request);
            }

            return "50 times";
        }, Needs.Ring),
        new("order-kick-keeps-enabled", From.VhostUser("Ring states"), "SET_VRING_KICK does not disable a ring that was enabled.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            session.SetKick();
            session.SetKick();
            session.Serve(3);
            return "served without another SET_VRING_ENABLE";
        }, Needs.Ring),
        new("order-call-replaced", From.VhostUser(OnTheFly), "The call descriptor may be replaced while the ring runs; the new one is signalled.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            EventFd second = bench.Track(EventFd.Create());
            session.Front.Do(Request.SetVringCall, Payload.U64(0), second.Descriptor);
            session.Front.Barrier();
            second.TryDrain(out _);
            var request = session.OfferGood();
            session.Ring.Kick.Signal();
            if (!Readiness.WaitReadable(second.Descriptor, bench.Patience))
                throw new FailedException("the new call descriptor is not signalled");
            session.TakeGood(request);
            return "the new descriptor is signalled";
        }, Needs.Ring),
        new("order-kick-replaced", From.VhostUser(OnTheFly), "The kick descriptor may be replaced while the ring runs; the new one is obeyed.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            EventFd second = bench.Track(EventFd.Create());
            session.Front.Do(Request.SetVringKick, Payload.U64(0), second.Descriptor);
            session.Enable();
            session.Front.Barrier();
            for (int i = 0; i < 3; i++)
            {
                var request = session.OfferGood();
                second.Signal();
                session.TakeGood(request);
            }

            return "the new descriptor is obeyed";
        }, Needs.Ring),
        new("order-without-bit-30", From.VhostUser("Ring states"), "Upon SET_FEATURES without bit 30 the back-end must enable all rings immediately.", bench =>
        {
            FrontEnd front = bench.Connect();
            ulong features = front.AskU64(Request.GetFeatures) & Feature.Version1;
            front.Send(Request.SetOwner);
            GuestRegion ram = bench.Ram();
            Session session = bench.Track(new Session(bench, front, ram, new SplitRing(ram, ram.Guest, 64), features));
            session.SetFeatures();
            session.ShareMemory();
            session.StartRing();
            session.Serve(3);
            return "served without SET_VRING_ENABLE and without protocol features";
        }, Needs.Ring),
        new("order-two-drivers", From.VhostUser("GET_VRING_BASE; firmware and kernel drive a disk in one connection"),
            "A second driver with another ring and other features is served in the same session.", bench =>
        {
            Session first = bench.Start(Plan.Usual with { Features = Feature.Version1, Size = 8 });
            first.Serve();
            first.StopRing();
            var ring = new SplitRing(first.Ram, first.Ram.Guest + DriverRing.Extent, 64);
            ulong features = bench.Offer.Features & (Feature.ProtocolFeatures | Plan.Usual.Features);
            Session second = bench.Track(new Session(bench, first.Front, first.Ram, ring, features));
            second.SetFeatures();
            second.StartRing();
            second.Serve(3);
            return "a ring of 8, then one of 64";
        }, Needs.Ring),
    ];

    /// <summary>A session whose ring lacks the kick descriptor and ENABLE only.</summary>
    private static Session Described(Bench bench)
    {
        Session session = bench.Prepare();
        session.SetFeatures();
        session.ShareMemory();
        session.Describe();
        session.Front.Barrier();
        return session;
    }
}

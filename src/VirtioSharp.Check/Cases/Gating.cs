using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>What was not offered, and what was not negotiated.</summary>
internal static class Gating
{
    public static CheckCase[] All { get; } =
    [
        new("gate-unoffered-features", From.Virtio("2.2.1: the driver MUST NOT accept a feature which the device did not offer"),
            "SET_FEATURES with a bit that was not offered is refused or left unused.", bench =>
        {
            ulong unoffered = Feature.RingReset & ~bench.Offer.Features;
            if (unoffered == 0)
                throw new SkippedException("VIRTIO_F_RING_RESET is offered");
            return bench.Negotiate().Attempt(Request.SetFeatures, Payload.U64((bench.Offer.Features & Feature.ProtocolFeatures) | Feature.Version1 | unoffered)).Text();
        }),
        new("gate-all-features", From.Virtio("2.2.1"), "SET_FEATURES with all 64 bits is refused or left unused.", bench =>
            bench.Negotiate().Attempt(Request.SetFeatures, Payload.U64(ulong.MaxValue)).Text()),
        new("gate-unoffered-protocol-features", From.VhostUser("SET_PROTOCOL_FEATURES"), "Protocol features that were not offered are refused or left unused.", bench =>
        {
            bench.NeedFeature(Feature.ProtocolFeatures);
            FrontEnd front = bench.Connect();
            front.AskU64(Request.GetFeatures);
            var offered = (Protocol)front.AskU64(Request.GetProtocolFeatures);
            Outcome outcome = front.Attempt(Request.SetProtocolFeatures, Payload.U64(ulong.MaxValue & ~(ulong)Protocol.InbandNotifications | (ulong)offered));
            return outcome.Text();
        }),
        Gated(Request.GetQueueNum, Protocol.Mq, []),
        Gated(Request.SetBackEndReqFd, Protocol.BackEndReq, []),
        Gated(Request.GetConfig, Protocol.Config, Payload.Config(0, 8, new byte[8])),
        Gated(Request.GetInflightFd, Protocol.InflightShmfd, Payload.Inflight(0, 0, 1, 64)),
        Gated(Request.ResetDevice, Protocol.ResetDevice, []),
        Gated(Request.GetMaxMemSlots, Protocol.ConfigureMemSlots, []),
        Gated(Request.AddMemReg, Protocol.ConfigureMemSlots, new byte[40]),
        Gated(Request.RemMemReg, Protocol.ConfigureMemSlots, new byte[40]),
        Gated(Request.SetDeviceStateFd, Protocol.DeviceState, Payload.State(0, 0)),
        Gated(Request.CheckDeviceState, Protocol.DeviceState, []),
        Gated(Request.VringKick, Protocol.InbandNotifications, Payload.State(0, 0)),
        Gated(Request.SetStatus, Protocol.Status, Payload.U64(0)),
        Gated(Request.GetStatus, Protocol.Status, []),
        new("gate-legacy-front-end", From.VhostUser("Communication: full backwards compatibility"), "A front-end that knows neither bit 30 nor protocol features gets answers to the messages that were always there.", bench =>
        {
            FrontEnd front = bench.Connect();
            front.Send(Request.SetOwner);
            ulong features = front.AskU64(Request.GetFeatures);
            front.Send(Request.SetFeatures, Payload.U64(features & Feature.Version1));
            front.Send(Request.SetVringBase, Payload.State(0, 0));
            front.Ask(Request.GetVringBase, 8, Payload.State(0, 0));
            return "answered";
        }),
    ];

    /// <summary>A message whose protocol feature was not negotiated: anything goes, but silence for the next one.</summary>
    private static CheckCase Gated(uint request, Protocol feature, byte[] payload)
    {
        string name = Request.Name(request);
        return new CheckCase($"gate-{name.ToLowerInvariant().Replace('_', '-')}", From.VhostUser("Communication: any protocol extensions are gated by protocol feature bits"),
            $"{name} without {feature} negotiated is ignored, refused, or ends the connection; the daemon serves on.", bench =>
        {
            FrontEnd front = bench.Negotiate(new Plan { Protocol = Protocol.None });
            if (!front.TrySend(request, FrontEnd.Version, payload) || !front.TrySend(Request.GetFeatures, FrontEnd.Version, []))
                return "connection closed";
            bool answered = false;
            while (true)
            {
                Answer answer = front.Receive();
                answer.Fd?.Dispose();
                if (answer.Kind == AnswerKind.Closed)
                    return "connection closed";
                if (answer.Kind == AnswerKind.Silence)
                    throw new FailedException($"neither an answer nor the end of the connection within {bench.Patience.TotalSeconds} s");
                if (answer.Request == Request.GetFeatures)
                    return answered ? "answered all the same" : "ignored";
                answered = true;
            }
        });
    }
}

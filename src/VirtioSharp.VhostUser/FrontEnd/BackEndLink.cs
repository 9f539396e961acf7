using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>One connection to a back-end, and what was agreed on when it was made; a back-end that is started again gets a new one.</summary>
internal sealed class BackEndLink : IDisposable
{
    /// <summary>A ring's number has 8 bits in SET_VRING_KICK, _CALL and _ERR. Back-ends that claim more are known.</summary>
    private const int MaxRings = 256;

    private BackEndLink(FrontEndChannel channel) => Channel = channel;

    public FrontEndChannel Channel { get; }

    public BackEndOffer Offer { get; private set; } = new(default, 0, null, null);

    public ProtocolFeatures Protocol { get; private set; }

    /// <summary>Whether the back-end knows protocol features at all, and with them SET_VRING_ENABLE.</summary>
    public bool HasProtocolFeatures => (Offer.Features.Low & VhostUserFeatures.Protocol) != 0;

    /// <summary>Whether an IOMMU is between the back-end and memory.</summary>
    public bool IsTranslated { get; private set; }

    /// <summary>Whether the back-end has been shown the memory for as long as the connection lasts (ADD_MEM_REG).</summary>
    public bool KnowsMemory { get; set; }

    /// <summary>Agrees on the protocol, in QEMU's order.</summary>
    /// <param name="socket">The connection; owned from here on.</param>
    /// <param name="options">The front-end's.</param>
    /// <param name="accepted">What to accept of what is offered.</param>
    /// <param name="events">Is told what the back-end asks and says by itself.</param>
    /// <exception cref="VhostUserException">The back-end fails.</exception>
    public static BackEndLink Open(UnixSocket socket, VhostUserFrontEndOptions options, ProtocolFeatures accepted, BackEndEvents events)
    {
        var link = new BackEndLink(new FrontEndChannel(socket, options.ReplyTimeout, options.Time));
        try
        {
            link.Agree(accepted, events, options.IotlbEntryBytes > 0);
            return link;
        }
        catch
        {
            link.Dispose();
            throw;
        }
    }

    public bool Has(ProtocolFeatures feature) => (Protocol & feature) == feature;

    /// <summary>The features that the driver accepted, and what keeps rings disabled until they are enabled.</summary>
    public void SetFeatures(FeatureSet accepted) =>
        Channel.Send(FrontEndRequest.SetFeatures, (accepted | (IsTranslated ? Features.AccessPlatform : default)).Low | (Offer.Features.Low & VhostUserFeatures.Protocol));

    /// <summary>Returns when the back-end has seen all that was sent, acknowledged or not.</summary>
    public void Barrier()
    {
        if (!Channel.Acknowledges)
            Channel.Ask<ulong>(FrontEndRequest.GetFeatures);
    }

    public void Dispose() => Channel.Dispose();

    private void Agree(ProtocolFeatures accepted, BackEndEvents events, bool translate)
    {
        ulong features = Channel.Ask<ulong>(FrontEndRequest.GetFeatures), protocol = 0;
        int? queues = null;
        ulong? slots = null;
        if ((features & VhostUserFeatures.Protocol) != 0)
        {
            protocol = Channel.Ask<ulong>(FrontEndRequest.GetProtocolFeatures);
            Protocol = ProtocolRules.WithWhatTheyNeed((ProtocolFeatures)protocol & accepted);
            Channel.Send(FrontEndRequest.SetProtocolFeatures, (ulong)Protocol);
            Channel.Acknowledges = Has(ProtocolFeatures.ReplyAck); // not before: the message itself is never acknowledged
        }

        if (Has(ProtocolFeatures.Mq))
            queues = AskQueues();
        if (Has(ProtocolFeatures.ConfigureMemSlots))
            slots = AskSlots();
        Offer = new BackEndOffer(new FeatureSet(features), protocol, queues, slots);
        if (Has(ProtocolFeatures.BackEndReq))
            Channel.Requests = BackEndRequests.Open(this, events);
        IsTranslated = translate && Offer.Features.Has(Features.AccessPlatform) && Has(ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq);
        Channel.Send(FrontEndRequest.SetOwner, []);
    }

    private int AskQueues()
    {
        ulong queues = Channel.Ask<ulong>(FrontEndRequest.GetQueueNum);
        return queues is > 0 and <= ushort.MaxValue
            ? (int)Math.Min(queues, MaxRings)
            : throw Channel.Distrust(FrontEndRequest.GetQueueNum, $"GET_QUEUE_NUM: {queues} queues are no number of queues");
    }

    private ulong AskSlots()
    {
        ulong slots = Channel.Ask<ulong>(FrontEndRequest.GetMaxMemSlots);
        return slots > 0
            ? slots
            : throw Channel.Distrust(FrontEndRequest.GetMaxMemSlots, "GET_MAX_MEM_SLOTS: 0 slots leave no room for any memory");
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.Proxy;

/// <summary>Follows a session, and says in a sentence what about a message explains why a guest does not start.</summary>
/// <remarks>It judges by the specification and by what front-ends are known to do. It is told each message when it has been passed on.</remarks>
internal sealed class SessionRemarks
{
    private readonly HashSet<uint> _started = [];
    private readonly HashSet<uint> _enabled = [];
    private FeatureSet? _offered;
    private ProtocolFeatures? _offeredProtocol;
    private ProtocolFeatures _protocol;
    private ulong? _queues;
    private int _regions;
    private bool _saidNoMemory;

    /// <summary>What was agreed on last; null before.</summary>
    public FeatureSet? Features { get; private set; }

    /// <summary>Of the protocol; null before.</summary>
    public ProtocolFeatures? Protocol { get; private set; }

    /// <summary>Whether the front-end will wait for an answer to this message.</summary>
    public bool IsAnswered(in MessageHeader header) =>
        MessageFacts.Of(header.Request)?.ReplyBytes is not null
        || ((header.Flags & MessageFlags.NeedReply) != 0 && (_protocol & ProtocolFeatures.ReplyAck) != 0);

    /// <summary>A front-end's message.</summary>
    public IReadOnlyList<string> OnRequest(in MessageHeader header, ReadOnlySpan<byte> payload, int fds)
    {
        List<string> remarks = [];
        MessageFacts? facts = MessageFacts.Of(header.Request);
        if (facts is null)
            remarks.Add($"request {header.Request} is not in the specification");
        else
            Gate(header, facts, payload, fds, remarks);
        if (header.IsReply)
            remarks.Add("the REPLY flag is set in a request");
        if ((header.Flags & MessageFlags.NeedReply) != 0 && (_protocol & ProtocolFeatures.ReplyAck) == 0)
            remarks.Add("NEED_REPLY is set, but REPLY_ACK was not agreed on: nobody will answer");
        Follow((FrontEndRequest)header.Request, payload, remarks);
        return remarks;
    }

    /// <summary>The back-end's answer.</summary>
    /// <param name="request">To what; null when nothing was asked.</param>
    /// <param name="header">Its header.</param>
    /// <param name="payload">Its payload.</param>
    public IReadOnlyList<string> OnReply(uint? request, in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        List<string> remarks = [];
        if (request is not { } asked)
        {
            remarks.Add($"nothing was asked: the front-end will take this for the answer to its next request");
            return remarks;
        }

        string name = MessageFacts.NameOf(asked);
        if (header.Request != asked)
            remarks.Add($"it answers {MessageFacts.NameOf(header.Request)}, but {name} was asked: the front-end will hang up");
        if (header.Flags != (MessageFlags.Version1 | MessageFlags.Reply))
            remarks.Add($"flags = 0x{(uint)header.Flags:x}: QEMU takes nothing but 0x5 (version 1 and REPLY) for an answer");
        SizeOfReply(asked, name, payload, remarks);
        if (payload.Length == 8)
            FollowReply((FrontEndRequest)asked, MemoryMarshal.Read<ulong>(payload), remarks);
        return remarks;
    }

    private void Gate(in MessageHeader header, MessageFacts facts, ReadOnlySpan<byte> payload, int fds, List<string> remarks)
    {
        if ((facts.Requires & ~_protocol) != 0)
            remarks.Add($"{facts.Name} belongs to {ProtocolFeatureSheet.Describe(facts.Requires)}, which was not agreed on");
        if ((FrontEndRequest)header.Request == FrontEndRequest.IotlbMsg && Features?.Has(Spec.Features.AccessPlatform) != true)
            remarks.Add("IOTLB_MSG belongs to ACCESS_PLATFORM(33), which was not accepted");
        bool saysNone = (FrontEndRequest)header.Request is FrontEndRequest.SetVringKick or FrontEndRequest.SetVringCall or FrontEndRequest.SetVringErr
            && payload.Length == 8 && MemoryMarshal.Read<VringFd>(payload).HasNone;
        bool isEmptyTable = (FrontEndRequest)header.Request == FrontEndRequest.SetMemTable && payload.Length >= 4 && MemoryMarshal.Read<uint>(payload) == 0;
        if (facts.HasFd && !saysNone && !isEmptyTable && fds == 0)
            remarks.Add($"{facts.Name} came without its file descriptor");
        if (!facts.HasFd && fds > 0 && (FrontEndRequest)header.Request != FrontEndRequest.RemMemReg)
            remarks.Add($"{fds} file descriptors came with {facts.Name}, where none belong");
    }

    private void Follow(FrontEndRequest request, ReadOnlySpan<byte> payload, List<string> remarks)
    {
        if (payload.Length < 8 && request != FrontEndRequest.ResetOwner)
            return;
        ulong value = payload.Length >= 8 ? MemoryMarshal.Read<ulong>(payload) : 0;
        switch (request)
        {
            case FrontEndRequest.SetFeatures:
                Accept(value, remarks);
                break;
            case FrontEndRequest.SetProtocolFeatures:
                Accept((ProtocolFeatures)value, remarks);
                break;
            case FrontEndRequest.ResetOwner:
                remarks.Add("RESET_OWNER is deprecated: back-ends understand different things by it");
                break;
            case FrontEndRequest.SetMemTable:
                _regions = (int)Math.Min(MemoryMarshal.Read<uint>(payload), int.MaxValue);
                break;
            case FrontEndRequest.AddMemReg:
                _regions++;
                break;
            case FrontEndRequest.RemMemReg:
                _regions--;
                break;
            case FrontEndRequest.SetVringKick:
                uint kicked = new VringFd(value).Index;
                _started.Add(kicked);
                Index(kicked, remarks);
                Running(kicked, remarks);
                break;
            case FrontEndRequest.SetVringEnable when (value >> 32) != 0:
                _enabled.Add((uint)value);
                Index((uint)value, remarks);
                Running((uint)value, remarks);
                break;
            case FrontEndRequest.SetVringEnable:
                _enabled.Remove((uint)value);
                break;
            case FrontEndRequest.GetVringBase:
                _started.Remove((uint)value);
                break;
            case FrontEndRequest.SetVringNum:
                Size((uint)value, (uint)(value >> 32), remarks);
                break;
        }
    }

    private void Accept(ulong accepted, List<string> remarks)
    {
        Features = new FeatureSet(accepted & ~VhostUserFeatures.Protocol);
        FeatureSet unoffered = new FeatureSet(accepted) - (_offered ?? new FeatureSet(accepted));
        if (!unoffered.IsEmpty)
            remarks.Add($"{unoffered} is accepted but was not offered: the front-end passes on what it offered to the guest itself; a strict back-end hangs up");
        if (_offered is { } offered && offered.Has(new FeatureSet(VhostUserFeatures.Protocol)) && (accepted & VhostUserFeatures.Protocol) == 0)
            remarks.Add("PROTOCOL_FEATURES(30) was offered and is not accepted: rings count as enabled from the start");
    }

    private void Accept(ProtocolFeatures accepted, List<string> remarks)
    {
        _protocol = accepted;
        Protocol = accepted;
        ProtocolFeatures unoffered = accepted & ~(_offeredProtocol ?? accepted);
        if (unoffered != 0)
            remarks.Add($"{ProtocolFeatureSheet.Describe(unoffered)} is accepted but was not offered");
        foreach (int bit in (ReadOnlySpan<int>)[14, 17])
        {
            if (((ulong)accepted >> bit & 1) != 0)
                remarks.Add($"bit {bit} ({ProtocolFeatureSheet.Of(bit).Name}) was offered; QEMU acknowledges it but does not implement it: do not offer it");
        }
    }

    private void Index(uint ring, List<string> remarks)
    {
        if (_queues is { } queues && ring >= queues)
            remarks.Add($"ring {ring} is one too many: the back-end said that it has {queues}");
    }

    private static void Size(uint ring, uint size, List<string> remarks)
    {
        if (size is 0 or > SplitLayout.MaxQueueSize)
            remarks.Add($"ring {ring}: {size} entries are not in 1…{SplitLayout.MaxQueueSize}");
    }

    /// <summary>QEMU sends no memory table at all when none of the guest's RAM is shared, and no error: the guest waits for ever.</summary>
    private void Running(uint ring, List<string> remarks)
    {
        bool needsEnable = (_offered ?? default).Has(new FeatureSet(VhostUserFeatures.Protocol));
        if (_regions > 0 || _saidNoMemory || !_started.Contains(ring) || (needsEnable && !_enabled.Contains(ring)))
            return;
        _saidNoMemory = true;
        remarks.Add("the ring is to run, but no memory was shared: guest RAM is not share=on, and no memory will ever arrive (QEMU: -object memory-backend-memfd,id=mem0,size=…,share=on -machine memory-backend=mem0)");
    }

    private static void SizeOfReply(uint asked, string name, ReadOnlySpan<byte> payload, List<string> remarks)
    {
        int? expected = MessageFacts.Of(asked)?.ReplyBytes ?? 8;
        if ((FrontEndRequest)asked == FrontEndRequest.GetConfig && payload.IsEmpty)
            remarks.Add("size 0: the back-end has no such configuration space, by the specification's way to say so");
        else if (expected >= 0 && payload.Length != expected)
            remarks.Add((FrontEndRequest)asked == FrontEndRequest.GetInflightFd
                ? $"{payload.Length} bytes, where the specification's structure has {expected} with its padding: QEMU hangs up (\"Received bad msg size\")"
                : $"{payload.Length} bytes, where {name} is answered with {expected}: the front-end hangs up");
    }

    private void FollowReply(FrontEndRequest asked, ulong value, List<string> remarks)
    {
        switch (asked)
        {
            case FrontEndRequest.GetFeatures:
                _offered = new FeatureSet(value);
                if ((value & VhostUserFeatures.Protocol) == 0)
                    remarks.Add("PROTOCOL_FEATURES(30) is not offered: QEMU 7.2 aborts with a vhost-user-rng, newer ones refuse it; there will be no CONFIG, MQ or REPLY_ACK");
                break;
            case FrontEndRequest.GetProtocolFeatures:
                _offeredProtocol = (ProtocolFeatures)value;
                break;
            case FrontEndRequest.GetQueueNum:
                _queues = value;
                break;
            default:
                if (value != 0 && MessageFacts.Of((uint)asked)?.ReplyBytes is null)
                    remarks.Add($"the back-end refuses {MessageFacts.NameOf((uint)asked)}; its own log says why");
                break;
        }
    }
}

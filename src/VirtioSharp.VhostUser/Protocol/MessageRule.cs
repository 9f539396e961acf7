namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What a request must look like before anybody looks into it.</summary>
/// <param name="Facts">What the specification says of it.</param>
/// <param name="MinSize">Fewest payload bytes.</param>
/// <param name="MaxSize">Most payload bytes.</param>
/// <param name="MaxFds">Most file descriptors.</param>
internal sealed record MessageRule(MessageFacts Facts, int MinSize, int MaxSize, int MaxFds)
{
    /// <summary>No front-end needs more of configuration space than this (QEMU's limit).</summary>
    public const int MaxConfigBytes = 256;

    /// <summary>SET_MEM_TABLE's limit; more regions need CONFIGURE_MEM_SLOTS.</summary>
    public const int MaxTableRegions = 8;

    /// <summary>The largest payload of any request below.</summary>
    public const int MaxPayload = 12 + MaxConfigBytes;

    private static readonly MessageRule?[] Rules = Build();

    /// <summary>The specification's name, without VHOST_USER_.</summary>
    public string Name => Facts.Name;

    /// <summary>The protocol feature it belongs to, if any.</summary>
    public ProtocolFeatures Requires => Facts.Requires;

    /// <summary>It is answered whether or not NEED_REPLY is set.</summary>
    public bool HasOwnReply => Facts.ReplyBytes is not null;

    /// <summary>The rule of a request that is implemented here.</summary>
    public static bool TryGet(uint request, out MessageRule rule)
    {
        MessageRule? found = request < (uint)Rules.Length ? Rules[request] : null;
        rule = found!;
        return found is not null;
    }

    private static MessageRule?[] Build()
    {
        const int U64 = 8, State = 8, Address = 40, Region = 32;
        var rules = new MessageRule?[(int)FrontEndRequest.GetShmemConfig + 1];

        void Add(FrontEndRequest request, int min = 0, int? max = null, int fds = 0) =>
            rules[(int)request] = new MessageRule(MessageFacts.Of((uint)request)!, min, max ?? min, fds);

        Add(FrontEndRequest.GetFeatures);
        Add(FrontEndRequest.SetFeatures, U64);
        Add(FrontEndRequest.SetOwner);
        Add(FrontEndRequest.ResetOwner);
        Add(FrontEndRequest.SetMemTable, 8, 8 + MaxTableRegions * Region, MaxTableRegions);
        Add(FrontEndRequest.SetLogBase, LogDescription.Bytes, fds: 1);
        Add(FrontEndRequest.SetLogFd, 0, U64, fds: 1);
        Add(FrontEndRequest.SetVringNum, State);
        Add(FrontEndRequest.SetVringAddr, Address);
        Add(FrontEndRequest.SetVringBase, State);
        Add(FrontEndRequest.GetVringBase, State);
        Add(FrontEndRequest.SetVringKick, U64, fds: 1);
        Add(FrontEndRequest.SetVringCall, U64, fds: 1);
        Add(FrontEndRequest.SetVringErr, U64, fds: 1);
        Add(FrontEndRequest.GetProtocolFeatures);
        Add(FrontEndRequest.SetProtocolFeatures, U64);
        Add(FrontEndRequest.GetQueueNum);
        Add(FrontEndRequest.SetVringEnable, State);
        Add(FrontEndRequest.SetBackEndReqFd, fds: 1);
        Add(FrontEndRequest.IotlbMsg, IotlbPayload.Bytes);
        Add(FrontEndRequest.GetConfig, ConfigHeader.Bytes, MaxPayload);
        Add(FrontEndRequest.SetConfig, ConfigHeader.Bytes, MaxPayload);
        Add(FrontEndRequest.ResetDevice);
        Add(FrontEndRequest.VringKick, State);
        Add(FrontEndRequest.GetMaxMemSlots);
        Add(FrontEndRequest.AddMemReg, 8 + Region, fds: 1);
        // A front-end may send the region's descriptor along when it removes it; it is closed.
        Add(FrontEndRequest.RemMemReg, 8 + Region, fds: 1);
        Add(FrontEndRequest.GetInflightFd, InflightDescription.Bytes);
        Add(FrontEndRequest.SetInflightFd, InflightDescription.Bytes, fds: 1);
        Add(FrontEndRequest.SetStatus, U64);
        Add(FrontEndRequest.GetStatus);
        Add(FrontEndRequest.SetDeviceStateFd, DeviceStateTransfer.Bytes, fds: 1);
        Add(FrontEndRequest.CheckDeviceState);
        return rules;
    }
}

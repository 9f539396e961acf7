namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What a request must look like before anybody looks into it.</summary>
/// <param name="Name">The specification's name, without VHOST_USER_.</param>
/// <param name="MinSize">Fewest payload bytes.</param>
/// <param name="MaxSize">Most payload bytes.</param>
/// <param name="MaxFds">Most file descriptors.</param>
/// <param name="Requires">The protocol feature it belongs to, if any.</param>
/// <param name="HasOwnReply">It is answered whether or not NEED_REPLY is set.</param>
internal sealed record MessageRule(string Name, int MinSize, int MaxSize, int MaxFds, ProtocolFeatures Requires, bool HasOwnReply)
{
    /// <summary>No front-end needs more of configuration space than this (QEMU's limit).</summary>
    public const int MaxConfigBytes = 256;

    /// <summary>SET_MEM_TABLE's limit; more regions need CONFIGURE_MEM_SLOTS.</summary>
    public const int MaxTableRegions = 8;

    /// <summary>The largest payload of any request below.</summary>
    public const int MaxPayload = 12 + MaxConfigBytes;

    private static readonly MessageRule?[] Rules = Build();

    /// <summary>The rule of a request that is implemented here.</summary>
    public static bool TryGet(uint request, out MessageRule rule)
    {
        MessageRule? found = request < (uint)Rules.Length ? Rules[request] : null;
        rule = found!;
        return found is not null;
    }

    /// <summary>A name for any number.</summary>
    public static string NameOf(uint request) => TryGet(request, out MessageRule rule)
        ? rule.Name
        : Enum.IsDefined((FrontEndRequest)request) ? $"{(FrontEndRequest)request} ({request})" : $"request {request}";

    private static MessageRule?[] Build()
    {
        const int U64 = 8, State = 8, Address = 40, Region = 32;
        var rules = new MessageRule?[(int)FrontEndRequest.GetShmemConfig + 1];

        void Add(FrontEndRequest request, string name, int min = 0, int? max = null, int fds = 0, ProtocolFeatures requires = default, bool reply = false) =>
            rules[(int)request] = new MessageRule(name, min, max ?? min, fds, requires, reply);

        Add(FrontEndRequest.GetFeatures, "GET_FEATURES", reply: true);
        Add(FrontEndRequest.SetFeatures, "SET_FEATURES", U64);
        Add(FrontEndRequest.SetOwner, "SET_OWNER");
        Add(FrontEndRequest.ResetOwner, "RESET_OWNER");
        Add(FrontEndRequest.SetMemTable, "SET_MEM_TABLE", 8, 8 + MaxTableRegions * Region, MaxTableRegions);
        Add(FrontEndRequest.SetLogBase, "SET_LOG_BASE", LogDescription.Bytes, fds: 1, requires: ProtocolFeatures.LogShmfd, reply: true);
        Add(FrontEndRequest.SetLogFd, "SET_LOG_FD", 0, U64, fds: 1, requires: ProtocolFeatures.LogShmfd);
        Add(FrontEndRequest.SetVringNum, "SET_VRING_NUM", State);
        Add(FrontEndRequest.SetVringAddr, "SET_VRING_ADDR", Address);
        Add(FrontEndRequest.SetVringBase, "SET_VRING_BASE", State);
        Add(FrontEndRequest.GetVringBase, "GET_VRING_BASE", State, reply: true);
        Add(FrontEndRequest.SetVringKick, "SET_VRING_KICK", U64, fds: 1);
        Add(FrontEndRequest.SetVringCall, "SET_VRING_CALL", U64, fds: 1);
        Add(FrontEndRequest.SetVringErr, "SET_VRING_ERR", U64, fds: 1);
        Add(FrontEndRequest.GetProtocolFeatures, "GET_PROTOCOL_FEATURES", reply: true);
        Add(FrontEndRequest.SetProtocolFeatures, "SET_PROTOCOL_FEATURES", U64);
        Add(FrontEndRequest.GetQueueNum, "GET_QUEUE_NUM", requires: ProtocolFeatures.Mq, reply: true);
        Add(FrontEndRequest.SetVringEnable, "SET_VRING_ENABLE", State);
        Add(FrontEndRequest.SetBackEndReqFd, "SET_BACKEND_REQ_FD", fds: 1, requires: ProtocolFeatures.BackEndReq);
        Add(FrontEndRequest.GetConfig, "GET_CONFIG", ConfigHeader.Bytes, MaxPayload, requires: ProtocolFeatures.Config, reply: true);
        Add(FrontEndRequest.SetConfig, "SET_CONFIG", ConfigHeader.Bytes, MaxPayload, requires: ProtocolFeatures.Config);
        Add(FrontEndRequest.ResetDevice, "RESET_DEVICE", requires: ProtocolFeatures.ResetDevice);
        Add(FrontEndRequest.GetMaxMemSlots, "GET_MAX_MEM_SLOTS", requires: ProtocolFeatures.ConfigureMemSlots, reply: true);
        Add(FrontEndRequest.AddMemReg, "ADD_MEM_REG", 8 + Region, fds: 1, requires: ProtocolFeatures.ConfigureMemSlots);
        // A front-end may send the region's descriptor along when it removes it; it is closed.
        Add(FrontEndRequest.RemMemReg, "REM_MEM_REG", 8 + Region, fds: 1, requires: ProtocolFeatures.ConfigureMemSlots);
        Add(FrontEndRequest.GetInflightFd, "GET_INFLIGHT_FD", InflightDescription.Bytes, requires: ProtocolFeatures.InflightShmfd, reply: true);
        Add(FrontEndRequest.SetInflightFd, "SET_INFLIGHT_FD", InflightDescription.Bytes, fds: 1, requires: ProtocolFeatures.InflightShmfd);
        Add(FrontEndRequest.SetStatus, "SET_STATUS", U64, requires: ProtocolFeatures.Status);
        Add(FrontEndRequest.GetStatus, "GET_STATUS", requires: ProtocolFeatures.Status, reply: true);
        return rules;
    }
}

namespace VirtioSharp.Check.Wire;

/// <summary>Front-end message types, by the names and numbers of the vhost-user specification.</summary>
internal static class Request
{
    public const uint
        GetFeatures = 1, SetFeatures = 2, SetOwner = 3, ResetOwner = 4, SetMemTable = 5, SetLogBase = 6, SetLogFd = 7,
        SetVringNum = 8, SetVringAddr = 9, SetVringBase = 10, GetVringBase = 11, SetVringKick = 12, SetVringCall = 13, SetVringErr = 14,
        GetProtocolFeatures = 15, SetProtocolFeatures = 16, GetQueueNum = 17, SetVringEnable = 18, SetBackEndReqFd = 21, IotlbMsg = 22,
        GetConfig = 24, SetConfig = 25, GetInflightFd = 31, SetInflightFd = 32, ResetDevice = 34, GetMaxMemSlots = 36,
        VringKick = 35, AddMemReg = 37, RemMemReg = 38, SetStatus = 39, GetStatus = 40,
        SetDeviceStateFd = 42, CheckDeviceState = 43;

    public static string Name(uint request) => request switch
    {
        GetFeatures => "GET_FEATURES",
        SetFeatures => "SET_FEATURES",
        SetOwner => "SET_OWNER",
        ResetOwner => "RESET_OWNER",
        SetMemTable => "SET_MEM_TABLE",
        SetLogBase => "SET_LOG_BASE",
        SetLogFd => "SET_LOG_FD",
        SetVringNum => "SET_VRING_NUM",
        SetVringAddr => "SET_VRING_ADDR",
        SetVringBase => "SET_VRING_BASE",
        GetVringBase => "GET_VRING_BASE",
        SetVringKick => "SET_VRING_KICK",
        SetVringCall => "SET_VRING_CALL",
        SetVringErr => "SET_VRING_ERR",
        GetProtocolFeatures => "GET_PROTOCOL_FEATURES",
        SetProtocolFeatures => "SET_PROTOCOL_FEATURES",
        GetQueueNum => "GET_QUEUE_NUM",
        SetVringEnable => "SET_VRING_ENABLE",
        SetBackEndReqFd => "SET_BACKEND_REQ_FD",
        IotlbMsg => "IOTLB_MSG",
        GetConfig => "GET_CONFIG",
        SetConfig => "SET_CONFIG",
        GetInflightFd => "GET_INFLIGHT_FD",
        SetInflightFd => "SET_INFLIGHT_FD",
        ResetDevice => "RESET_DEVICE",
        GetMaxMemSlots => "GET_MAX_MEM_SLOTS",
        AddMemReg => "ADD_MEM_REG",
        RemMemReg => "REM_MEM_REG",
        SetStatus => "SET_STATUS",
        GetStatus => "GET_STATUS",
        VringKick => "VRING_KICK",
        SetDeviceStateFd => "SET_DEVICE_STATE_FD",
        CheckDeviceState => "CHECK_DEVICE_STATE",
        _ => $"request {request}",
    };
}

/// <summary>VHOST_USER_PROTOCOL_F_*.</summary>
[Flags]
internal enum Protocol : ulong
{
    None = 0,
    Mq = 1 << 0,
    LogShmfd = 1 << 1,
    ReplyAck = 1 << 3,
    BackEndReq = 1 << 5,
    Config = 1 << 9,
    InflightShmfd = 1 << 12,
    ResetDevice = 1 << 13,
    InbandNotifications = 1 << 14,
    ConfigureMemSlots = 1 << 15,
    Status = 1 << 16,
    DeviceState = 1 << 19,
    GetVringBaseInflight = 1 << 20,
    GpaAddresses = 1 << 21,
}

/// <summary>The feature bits that the cases know.</summary>
internal static class Feature
{
    public const ulong
        LogAll = 1UL << 26, IndirectDesc = 1UL << 28, EventIdx = 1UL << 29, ProtocolFeatures = 1UL << 30, Version1 = 1UL << 32,
        AccessPlatform = 1UL << 33, RingPacked = 1UL << 34, RingReset = 1UL << 40;

    public static string Name(ulong bit) => bit switch
    {
        LogAll => "VHOST_F_LOG_ALL",
        IndirectDesc => "VIRTIO_F_INDIRECT_DESC",
        EventIdx => "VIRTIO_F_EVENT_IDX",
        ProtocolFeatures => "VHOST_USER_F_PROTOCOL_FEATURES",
        Version1 => "VIRTIO_F_VERSION_1",
        AccessPlatform => "VIRTIO_F_ACCESS_PLATFORM",
        RingPacked => "VIRTIO_F_RING_PACKED",
        _ => $"feature 0x{bit:x}",
    };
}

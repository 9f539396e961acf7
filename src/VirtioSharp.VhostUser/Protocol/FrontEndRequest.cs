namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What a front-end (the VMM) may ask; the numbers of the vhost-user specification, "Front-end message types".</summary>
public enum FrontEndRequest : uint
{
    /// <summary>Not a request.</summary>
    None = 0,
    /// <summary>Which virtio features the back-end offers.</summary>
    GetFeatures = 1,
    /// <summary>Which of them hold from now on.</summary>
    SetFeatures = 2,
    /// <summary>This front-end owns the session.</summary>
    SetOwner = 3,
    /// <summary>Deprecated: disable all rings.</summary>
    ResetOwner = 4,
    /// <summary>All of guest memory, at most 8 regions, a file descriptor each.</summary>
    SetMemTable = 5,
    /// <summary>Where to log dirty pages.</summary>
    SetLogBase = 6,
    /// <summary>What to signal when the log has changed.</summary>
    SetLogFd = 7,
    /// <summary>Entries of a ring.</summary>
    SetVringNum = 8,
    /// <summary>Where a ring is, in the front-end's own addresses.</summary>
    SetVringAddr = 9,
    /// <summary>Where to go on in a ring.</summary>
    SetVringBase = 10,
    /// <summary>Stop a ring and say where it stands.</summary>
    GetVringBase = 11,
    /// <summary>The eventfd by which the driver notifies; starts the ring.</summary>
    SetVringKick = 12,
    /// <summary>The eventfd by which the device notifies.</summary>
    SetVringCall = 13,
    /// <summary>The eventfd for errors.</summary>
    SetVringErr = 14,
    /// <summary>Which parts of this protocol the back-end offers.</summary>
    GetProtocolFeatures = 15,
    /// <summary>Which of them hold from now on.</summary>
    SetProtocolFeatures = 16,
    /// <summary>How many queues the back-end supports.</summary>
    GetQueueNum = 17,
    /// <summary>Enable or disable a ring.</summary>
    SetVringEnable = 18,
    /// <summary>Broadcast a fake RARP (net).</summary>
    SendRarp = 19,
    /// <summary>The MTU (net).</summary>
    NetSetMtu = 20,
    /// <summary>The socket for the back-end's own requests.</summary>
    SetBackEndReqFd = 21,
    /// <summary>An IOTLB update or invalidation.</summary>
    IotlbMsg = 22,
    /// <summary>Byte order of a legacy ring.</summary>
    SetVringEndian = 23,
    /// <summary>Read configuration space.</summary>
    GetConfig = 24,
    /// <summary>Write configuration space.</summary>
    SetConfig = 25,
    /// <summary>Open a crypto session.</summary>
    CreateCryptoSession = 26,
    /// <summary>Close a crypto session.</summary>
    CloseCryptoSession = 27,
    /// <summary>Post-copy migration is coming.</summary>
    PostcopyAdvise = 28,
    /// <summary>Post-copy migration starts.</summary>
    PostcopyListen = 29,
    /// <summary>Post-copy migration has ended.</summary>
    PostcopyEnd = 30,
    /// <summary>A buffer for in-flight tracking.</summary>
    GetInflightFd = 31,
    /// <summary>The buffer for in-flight tracking, given back.</summary>
    SetInflightFd = 32,
    /// <summary>The socket of a GPU's display.</summary>
    GpuSetSocket = 33,
    /// <summary>Reset the device.</summary>
    ResetDevice = 34,
    /// <summary>A notification in-band.</summary>
    VringKick = 35,
    /// <summary>How many memory regions the back-end can take.</summary>
    GetMaxMemSlots = 36,
    /// <summary>One more memory region.</summary>
    AddMemReg = 37,
    /// <summary>One memory region less.</summary>
    RemMemReg = 38,
    /// <summary>The driver wrote the device status field.</summary>
    SetStatus = 39,
    /// <summary>Read the device status field.</summary>
    GetStatus = 40,
    /// <summary>A shared object by its UUID.</summary>
    GetSharedObject = 41,
    /// <summary>A pipe for device state (migration).</summary>
    SetDeviceStateFd = 42,
    /// <summary>Whether device state went over whole.</summary>
    CheckDeviceState = 43,
    /// <summary>Shared memory regions of the device.</summary>
    GetShmemConfig = 44,
}

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>Parts of the vhost-user protocol that both ends agree on, <c>VHOST_USER_PROTOCOL_F_*</c>.</summary>
[Flags]
public enum ProtocolFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>More than one queue: GET_QUEUE_NUM.</summary>
    Mq = 1 << 0,
    /// <summary>Dirty log in shared memory.</summary>
    LogShmfd = 1 << 1,
    /// <summary>SEND_RARP.</summary>
    Rarp = 1 << 2,
    /// <summary>Any message may ask for an acknowledgement.</summary>
    ReplyAck = 1 << 3,
    /// <summary>NET_SET_MTU.</summary>
    Mtu = 1 << 4,
    /// <summary>A socket for the back-end's own requests.</summary>
    BackEndReq = 1 << 5,
    /// <summary>Rings of the other byte order.</summary>
    CrossEndian = 1 << 6,
    /// <summary>Crypto sessions.</summary>
    CryptoSession = 1 << 7,
    /// <summary>Post-copy migration.</summary>
    Pagefault = 1 << 8,
    /// <summary>Configuration space: GET_CONFIG, SET_CONFIG.</summary>
    Config = 1 << 9,
    /// <summary>Back-end requests may carry file descriptors.</summary>
    BackEndSendFd = 1 << 10,
    /// <summary>Host notifiers.</summary>
    HostNotifier = 1 << 11,
    /// <summary>In-flight tracking.</summary>
    InflightShmfd = 1 << 12,
    /// <summary>RESET_DEVICE.</summary>
    ResetDevice = 1 << 13,
    /// <summary>Notifications in-band. Never offer it to QEMU, which acknowledges it without implementing it.</summary>
    InbandNotifications = 1 << 14,
    /// <summary>Memory regions come and go one by one.</summary>
    ConfigureMemSlots = 1 << 15,
    /// <summary>GET_STATUS, SET_STATUS.</summary>
    Status = 1 << 16,
    /// <summary>Xen mappings.</summary>
    XenMmap = 1 << 17,
    /// <summary>Shared objects.</summary>
    SharedObject = 1 << 18,
    /// <summary>Device state over a pipe.</summary>
    DeviceState = 1 << 19,
    /// <summary>GET_VRING_BASE keeps what is in flight.</summary>
    GetVringBaseInflight = 1 << 20,
    /// <summary>User addresses are guest-physical.</summary>
    GpaAddresses = 1 << 21,
    /// <summary>Shared memory regions.</summary>
    ShmemMap = 1 << 22,
}

using static VirtioSharp.VhostUser.Protocol.ProtocolFeatures;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What the specification says of a front-end's message, whether or not anybody here implements it.</summary>
/// <param name="Name">Its name, without VHOST_USER_.</param>
/// <param name="Requires">The protocol feature it belongs to, if any.</param>
/// <param name="ReplyBytes">Payload of its own reply; null when it has none, −1 when the size is the request's or varies.</param>
/// <param name="HasFd">It carries a descriptor, if it does not say otherwise.</param>
internal sealed record MessageFacts(string Name, ProtocolFeatures Requires = None, int? ReplyBytes = null, bool HasFd = false)
{
    private const int U64 = 8, Varies = -1;

    private static readonly MessageFacts?[] All =
    [
        null,
        new("GET_FEATURES", ReplyBytes: U64),
        new("SET_FEATURES"),
        new("SET_OWNER"),
        new("RESET_OWNER"),
        new("SET_MEM_TABLE", HasFd: true),
        new("SET_LOG_BASE", LogShmfd, Varies, HasFd: true),
        new("SET_LOG_FD", LogShmfd, HasFd: true),
        new("SET_VRING_NUM"),
        new("SET_VRING_ADDR"),
        new("SET_VRING_BASE"),
        new("GET_VRING_BASE", ReplyBytes: 8),
        new("SET_VRING_KICK", HasFd: true),
        new("SET_VRING_CALL", HasFd: true),
        new("SET_VRING_ERR", HasFd: true),
        new("GET_PROTOCOL_FEATURES", ReplyBytes: U64),
        new("SET_PROTOCOL_FEATURES"),
        new("GET_QUEUE_NUM", Mq, U64),
        new("SET_VRING_ENABLE"),
        new("SEND_RARP", Rarp),
        new("NET_SET_MTU", Mtu),
        new("SET_BACKEND_REQ_FD", BackEndReq, HasFd: true),
        new("IOTLB_MSG", ReplyBytes: U64),
        new("SET_VRING_ENDIAN", CrossEndian),
        new("GET_CONFIG", Config, Varies),
        new("SET_CONFIG", Config),
        new("CREATE_CRYPTO_SESSION", CryptoSession, Varies),
        new("CLOSE_CRYPTO_SESSION", CryptoSession),
        new("POSTCOPY_ADVISE", Pagefault, Varies),
        new("POSTCOPY_LISTEN", Pagefault),
        new("POSTCOPY_END", Pagefault, U64),
        new("GET_INFLIGHT_FD", InflightShmfd, 24),
        new("SET_INFLIGHT_FD", InflightShmfd, HasFd: true),
        new("GPU_SET_SOCKET", HasFd: true),
        new("RESET_DEVICE", ProtocolFeatures.ResetDevice),
        new("VRING_KICK", InbandNotifications),
        new("GET_MAX_MEM_SLOTS", ConfigureMemSlots, U64),
        new("ADD_MEM_REG", ConfigureMemSlots, HasFd: true),
        new("REM_MEM_REG", ConfigureMemSlots),
        new("SET_STATUS", Status),
        new("GET_STATUS", Status, U64),
        new("GET_SHARED_OBJECT", SharedObject, Varies),
        new("SET_DEVICE_STATE_FD", DeviceState, U64, HasFd: true),
        new("CHECK_DEVICE_STATE", DeviceState, U64),
        new("GET_SHMEM_CONFIG", ShmemMap, Varies),
        new("GET_VRING_BASE_SKIP_DRAIN", ReplyBytes: 8),
    ];

    private static readonly string?[] BackEndNames =
    [
        null, "IOTLB_MSG", "CONFIG_CHANGE_MSG", "VRING_HOST_NOTIFIER_MSG", "VRING_CALL", "VRING_ERR",
        "SHARED_OBJECT_ADD", "SHARED_OBJECT_REMOVE", "SHARED_OBJECT_LOOKUP", "SHMEM_MAP", "SHMEM_UNMAP",
    ];

    /// <summary>A front-end's message; null for a number that the specification does not have.</summary>
    public static MessageFacts? Of(uint request) => request < (uint)All.Length ? All[request] : null;

    /// <summary>A name for any number of a front-end's message.</summary>
    public static string NameOf(uint request) => Of(request)?.Name ?? $"request {request}";

    /// <summary>A name for any number of a back-end's message, with its prefix.</summary>
    public static string BackEndNameOf(uint request) =>
        request < (uint)BackEndNames.Length && BackEndNames[request] is { } name ? $"BACKEND_{name}" : $"back-end request {request}";
}

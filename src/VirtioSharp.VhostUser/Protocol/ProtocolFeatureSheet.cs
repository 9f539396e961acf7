using System.Globalization;
using VirtioSharp.Spec;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>One of the protocol's features, for people.</summary>
/// <param name="Bit">Its number.</param>
/// <param name="Name">The specification's name without VHOST_USER_PROTOCOL_F_.</param>
/// <param name="Purpose">What it is for, in a line.</param>
public sealed record ProtocolFeatureSheet(int Bit, string Name, string Purpose)
{
    /// <summary>All that the specification has, known to this library or not, by number.</summary>
    public static IReadOnlyList<ProtocolFeatureSheet> All { get; } =
    [
        new(0, "MQ", "more than one queue, and how many: GET_QUEUE_NUM"),
        new(1, "LOG_SHMFD", "the log of dirty pages is in shared memory (migration)"),
        new(2, "RARP", "the back-end announces a guest that has moved (net)"),
        new(3, "REPLY_ACK", "any message can be acknowledged"),
        new(4, "MTU", "the front-end sets the MTU (net)"),
        new(5, "BACKEND_REQ", "a socket for the back-end's own requests"),
        new(6, "CROSS_ENDIAN", "rings in the other byte order (legacy)"),
        new(7, "CRYPTO_SESSION", "sessions of a crypto device"),
        new(8, "PAGEFAULT", "memory that is not there yet (post-copy migration)"),
        new(9, "CONFIG", "configuration space: GET_CONFIG, SET_CONFIG"),
        new(10, "BACKEND_SEND_FD", "the back-end's requests may carry file descriptors"),
        new(11, "HOST_NOTIFIER", "the driver kicks the hardware itself"),
        new(12, "INFLIGHT_SHMFD", "requests in flight outlive the back-end"),
        new(13, "RESET_DEVICE", "the device can be reset"),
        new(14, "INBAND_NOTIFICATIONS", "notifications as messages"),
        new(15, "CONFIGURE_MEM_SLOTS", "memory comes and goes region by region"),
        new(16, "STATUS", "the device status field: GET_STATUS, SET_STATUS"),
        new(17, "XEN_MMAP", "memory of Xen guests"),
        new(18, "SHARED_OBJECT", "objects shared between devices"),
        new(19, "DEVICE_STATE", "the back-end's state goes along (migration)"),
        new(20, "GET_VRING_BASE_INFLIGHT", "a ring stops with requests in flight"),
        new(21, "GPA_ADDRESSES", "user addresses are guest addresses"),
        new(22, "SHMEM", "shared memory regions of the device"),
        new(23, "GET_VRING_BASE_SKIP_DRAIN", "a ring stops without waiting for its requests"),
    ];

    /// <summary>The one with this number; one without a name if the specification has none.</summary>
    public static ProtocolFeatureSheet Of(int bit) => (uint)bit < (uint)All.Count ? All[bit] : new(bit, $"bit {bit}", "not in the specification");

    /// <summary>Every bit by name and number: <c>MQ(0) REPLY_ACK(3)</c>.</summary>
    public static string Describe(ProtocolFeatures features) => features == ProtocolFeatures.None
        ? "none"
        : string.Join(' ', new FeatureSet((ulong)features).Select(bit => string.Create(CultureInfo.InvariantCulture, $"{Of(bit).Name}({bit})")));
}

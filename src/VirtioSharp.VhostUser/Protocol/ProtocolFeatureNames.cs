using System.Globalization;
using System.Numerics;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>The specification's names of the protocol features, without <c>VHOST_USER_PROTOCOL_F_</c>.</summary>
public static class ProtocolFeatureNames
{
    private static readonly string[] Names =
    [
        "MQ", "LOG_SHMFD", "RARP", "REPLY_ACK", "MTU", "BACKEND_REQ", "CROSS_ENDIAN", "CRYPTO_SESSION", "PAGEFAULT", "CONFIG",
        "BACKEND_SEND_FD", "HOST_NOTIFIER", "INFLIGHT_SHMFD", "RESET_DEVICE", "INBAND_NOTIFICATIONS", "CONFIGURE_MEM_SLOTS",
        "STATUS", "XEN_MMAP", "SHARED_OBJECT", "DEVICE_STATE", "GET_VRING_BASE_INFLIGHT", "GPA_ADDRESSES", "SHMEM_MAP",
        "GET_VRING_BASE_SKIP_DRAIN",
    ];

    /// <summary>The name of a bit, or null where the specification has none yet.</summary>
    public static string? NameOf(int bit) => (uint)bit < (uint)Names.Length ? Names[bit] : null;

    /// <summary>Every bit by name and number: <c>MQ(0) REPLY_ACK(3) 40</c>.</summary>
    public static string Describe(ProtocolFeatures features)
    {
        if (features == ProtocolFeatures.None)
            return "none";
        var parts = new List<string>();
        for (ulong left = (ulong)features; left != 0; left &= left - 1)
        {
            int bit = BitOperations.TrailingZeroCount(left);
            parts.Add(NameOf(bit) is { } name
                ? string.Create(CultureInfo.InvariantCulture, $"{name}({bit})")
                : bit.ToString(CultureInfo.InvariantCulture));
        }

        return string.Join(' ', parts);
    }
}

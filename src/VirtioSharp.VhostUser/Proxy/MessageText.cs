using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.Proxy;

/// <summary>Payloads in words: every field by the specification's name, every bit by its own.</summary>
internal static class MessageText
{
    private const int MostHexBytes = 64;

    /// <summary>The fields of a message. A payload of another size than its message has is shown as bytes.</summary>
    public static IReadOnlyList<string> Fields(uint request, bool isReply, ReadOnlySpan<byte> payload)
    {
        if (payload.IsEmpty)
            return [];
        List<string>? fields = isReply ? Reply((FrontEndRequest)request, payload) : Request((FrontEndRequest)request, payload);
        return fields ?? [Hex(payload)];
    }

    /// <summary>The fields of a message on the back-end's own socket.</summary>
    public static IReadOnlyList<string> BackEndFields(uint request, bool isReply, ReadOnlySpan<byte> payload)
    {
        if (payload.IsEmpty)
            return [];
        if (isReply)
            return payload.Length == 8 ? [Acknowledgement(U64(payload))] : [Hex(payload)];
        return ((BackEndRequest)request, payload.Length) switch
        {
            (BackEndRequest.IotlbMsg, 32) => Iotlb(payload),
            (BackEndRequest.VringCall or BackEndRequest.VringErr, 8) => [Line($"ring {U32(payload)}")],
            _ => [Hex(payload)],
        };
    }

    private static List<string>? Request(FrontEndRequest request, ReadOnlySpan<byte> payload) => (request, payload.Length) switch
    {
        (FrontEndRequest.SetFeatures, 8) => [$"features = {new FeatureSet(U64(payload))}"],
        (FrontEndRequest.SetProtocolFeatures, 8) => [$"protocol features = {ProtocolFeatureSheet.Describe((ProtocolFeatures)U64(payload))}"],
        (FrontEndRequest.SetMemTable, >= 8) when (payload.Length - 8) % 32 == 0 => Regions(payload[8..], U32(payload)),
        (FrontEndRequest.AddMemReg or FrontEndRequest.RemMemReg, 40) => [Region(payload[8..])],
        (FrontEndRequest.SetLogBase, 16) => [Line($"log of {U64(payload)} bytes at offset 0x{U64(payload[8..]):x}")],
        (FrontEndRequest.SetVringNum, 8) => [Line($"ring {U32(payload)}: {U32(payload[4..])} entries")],
        (FrontEndRequest.SetVringBase, 8) => [Base(payload)],
        (FrontEndRequest.GetVringBase, 8) => [Line($"ring {U32(payload)}")],
        (FrontEndRequest.SetVringEnable, 8) => [Line($"ring {U32(payload)}: {(U32(payload[4..]) != 0 ? "enable" : "disable")}")],
        (FrontEndRequest.SetVringEndian, 8) => [Line($"ring {U32(payload)}: {(U32(payload[4..]) != 0 ? "big" : "little")}-endian")],
        (FrontEndRequest.SetVringAddr, 40) => Addresses(payload),
        (FrontEndRequest.SetVringKick or FrontEndRequest.SetVringCall or FrontEndRequest.SetVringErr, 8) =>
            [RingOfFd(MemoryMarshal.Read<VringFd>(payload))],
        (FrontEndRequest.VringKick, 8) => [Line($"ring {U32(payload)}")],
        (FrontEndRequest.GetConfig or FrontEndRequest.SetConfig, >= 12) => Configuration(payload, withBytes: request == FrontEndRequest.SetConfig),
        (FrontEndRequest.GetInflightFd or FrontEndRequest.SetInflightFd, >= 20) => [Inflight(payload)],
        (FrontEndRequest.SetStatus, 8) => [$"status = {(DeviceStatus)U64(payload)}"],
        (FrontEndRequest.NetSetMtu, 8) => [Line($"mtu = {U64(payload)}")],
        (FrontEndRequest.SetDeviceStateFd, 8) => [Line($"direction = {(U32(payload) == 0 ? "save" : "load")}, phase = {U32(payload[4..])}")],
        (FrontEndRequest.IotlbMsg, 32) => Iotlb(payload),
        _ => null,
    };

    private static List<string>? Reply(FrontEndRequest request, ReadOnlySpan<byte> payload) => (request, payload.Length) switch
    {
        (FrontEndRequest.GetFeatures, 8) => [$"features = {new FeatureSet(U64(payload))}"],
        (FrontEndRequest.GetProtocolFeatures, 8) => [$"protocol features = {ProtocolFeatureSheet.Describe((ProtocolFeatures)U64(payload))}"],
        (FrontEndRequest.GetQueueNum, 8) => [Line($"{U64(payload)} queues")],
        (FrontEndRequest.GetMaxMemSlots, 8) => [Line($"{U64(payload)} memory slots")],
        (FrontEndRequest.GetVringBase, 8) => [Base(payload)],
        (FrontEndRequest.GetConfig, >= 12) => Configuration(payload, withBytes: true),
        (FrontEndRequest.GetInflightFd, >= 20) => [Inflight(payload)],
        (FrontEndRequest.GetStatus, 8) => [$"status = {(DeviceStatus)U64(payload)}"],
        (FrontEndRequest.SetDeviceStateFd, 8) => [$"{Acknowledgement(U64(payload) & DeviceStateTransfer.Error)}{((U64(payload) & DeviceStateTransfer.NoFd) != 0 ? ", over the front-end's pipe" : "")}"],
        (_, 8) => [Acknowledgement(U64(payload))],
        _ => null,
    };

    private static List<string> Regions(ReadOnlySpan<byte> regions, uint count)
    {
        List<string> lines = [Line($"{count} regions")];
        for (; !regions.IsEmpty; regions = regions[32..])
            lines.Add(Region(regions));
        return lines;
    }

    private static string Region(ReadOnlySpan<byte> payload)
    {
        var region = MemoryMarshal.Read<MemoryRegionPayload>(payload);
        return Line($"guest 0x{region.GuestAddress:x}, {Bytes(region.Size)}, user 0x{region.UserAddress:x}, mmap offset 0x{region.MmapOffset:x}");
    }

    private static List<string> Addresses(ReadOnlySpan<byte> payload)
    {
        var address = MemoryMarshal.Read<VringAddress>(payload);
        List<string> lines =
        [
            Line($"ring {address.Index}: descriptors 0x{address.Descriptor:x}, available 0x{address.Available:x}, used 0x{address.Used:x}"),
        ];
        if ((address.Flags & VringAddress.LogFlag) != 0)
            lines.Add(Line($"logged: the used ring is at 0x{address.Log:x} in guest memory"));
        return lines;
    }

    private static string RingOfFd(VringFd ring) => Line($"ring {ring.Index}{(ring.HasNone ? ", no descriptor" : "")}");

    /// <summary>A split ring's next available index; of a packed one also the next used, each with its wrap counter in bit 15.</summary>
    private static string Base(ReadOnlySpan<byte> payload)
    {
        uint at = U32(payload[4..]);
        return at <= ushort.MaxValue
            ? Line($"ring {U32(payload)}: base {at}")
            : Line($"ring {U32(payload)}: base available {at & 0x7FFF} wrap {at >> 15 & 1}, used {at >> 16 & 0x7FFF} wrap {at >> 31}");
    }

    private static List<string> Configuration(ReadOnlySpan<byte> payload, bool withBytes)
    {
        var header = MemoryMarshal.Read<ConfigHeader>(payload);
        List<string> lines = [Line($"offset {header.Offset}, size {header.Size}, flags {header.Flags}")];
        if (withBytes && payload.Length > ConfigHeader.Bytes)
            lines.Add(Hex(payload[ConfigHeader.Bytes..]));
        return lines;
    }

    private static string Inflight(ReadOnlySpan<byte> payload)
    {
        Span<byte> padded = stackalloc byte[InflightDescription.Bytes]; // some send it without its padding
        padded.Clear();
        payload[..Math.Min(payload.Length, padded.Length)].CopyTo(padded);
        var description = MemoryMarshal.Read<InflightDescription>(padded);
        return Line($"{description.NumQueues} queues of {description.QueueSize} entries, {Bytes(description.MmapSize)} at offset 0x{description.MmapOffset:x}");
    }

    private static List<string> Iotlb(ReadOnlySpan<byte> payload)
    {
        string permission = payload[24] switch { 1 => "read", 2 => "write", 3 => "read and write", var other => $"permission {other}" };
        string type = payload[25] switch { 1 => "miss", 2 => "update", 3 => "invalidate", 4 => "access failure", var other => $"type {other}" };
        return payload[25] switch
        {
            1 or 4 => [Line($"{type}: iova 0x{U64(payload):x}, {permission}")],
            3 => [Line($"{type}: iova 0x{U64(payload):x}, {Bytes(U64(payload[8..]))}")],
            _ => [Line($"{type}: iova 0x{U64(payload):x}, {Bytes(U64(payload[8..]))}, user 0x{U64(payload[16..]):x}, {permission}")],
        };
    }

    private static string Acknowledgement(ulong value) => value == 0 ? "done" : Line($"refused ({value})");

    private static string Bytes(ulong count) => count switch
    {
        > 0 when count % (1 << 30) == 0 => Line($"{count >> 30} GiB"),
        > 0 when count % (1 << 20) == 0 => Line($"{count >> 20} MiB"),
        > 0 when count % (1 << 10) == 0 => Line($"{count >> 10} KiB"),
        _ => Line($"{count} bytes"),
    };

    private static string Hex(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(Convert.ToHexStringLower(bytes[..Math.Min(bytes.Length, MostHexBytes)]));
        return bytes.Length > MostHexBytes ? text.Append(CultureInfo.InvariantCulture, $"… ({bytes.Length} bytes)").ToString() : text.ToString();
    }

    private static uint U32(ReadOnlySpan<byte> bytes) => MemoryMarshal.Read<uint>(bytes);

    private static ulong U64(ReadOnlySpan<byte> bytes) => MemoryMarshal.Read<ulong>(bytes);

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json.Serialization;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.Cli.Probe;

/// <summary>What <c>vio probe</c> found out.</summary>
/// <param name="SocketPath">Where the daemon listens.</param>
/// <param name="Device">What it is taken for, if that was said.</param>
/// <param name="Features">Virtio features that are offered.</param>
/// <param name="ProtocolFeatures">Protocol features that are offered.</param>
/// <param name="Queues">How many queues; null when the daemon cannot be asked.</param>
/// <param name="MaxQueueSize">Always null: the protocol does not tell.</param>
/// <param name="MemorySlots">How many memory regions it takes; null when it cannot be asked.</param>
/// <param name="Configuration">Its configuration space; null when it has none to read.</param>
internal sealed record ProbeResult(
    string SocketPath,
    string? Device,
    IReadOnlyList<FeatureResult> Features,
    IReadOnlyList<ProtocolFeatureSheet> ProtocolFeatures,
    int? Queues,
    int? MaxQueueSize,
    ulong? MemorySlots,
    ConfigurationResult? Configuration)
{
    public static ProbeResult Of(string socketPath, DeviceSheet? device, BackEndOffer offer, byte[]? configuration) => new(
        socketPath,
        device?.Name,
        [.. offer.Features.Select(bit => new FeatureResult(bit, NameOf(bit, device)))],
        [.. new FeatureSet(offer.ProtocolFeatures).Select(ProtocolFeatureSheet.Of)],
        offer.Queues,
        MaxQueueSize: null,
        offer.MemorySlots,
        configuration is null ? null : ConfigurationResult.Of(configuration, device, offer.Features));

    private static string? NameOf(int bit, DeviceSheet? device) => bit switch
    {
        26 => "LOG_ALL", // vhost's own, in the place of virtio features
        30 => "PROTOCOL_FEATURES",
        _ => Spec.Features.NameOf(bit) ?? device?.Features.GetValueOrDefault(bit),
    };
}

/// <summary>A feature bit, and its name if it is known.</summary>
internal sealed record FeatureResult(int Bit, string? Name)
{
    public override string ToString() => Name is null ? $"{Bit}" : $"{Name}({Bit})";
}

/// <summary>Configuration space.</summary>
/// <param name="Size">How many bytes the daemon answered for; it may be more than its device has.</param>
/// <param name="Bytes">Them, in hexadecimal.</param>
/// <param name="Fields">Those fields that the offered features make valid, when the kind of device is known.</param>
internal sealed record ConfigurationResult(int Size, string Bytes, IReadOnlyDictionary<string, string> Fields)
{
    public static ConfigurationResult Of(byte[] bytes, DeviceSheet? device, FeatureSet offered)
    {
        var fields = new Dictionary<string, string>();
        foreach (ConfigurationField field in device?.Fields ?? [])
            if (field.Offset + field.Size <= bytes.Length && (field.Feature is not { } bit || offered.Has(FeatureSet.Bit(bit))))
                fields.Add(field.Name, Show(bytes.AsSpan(field.Offset, field.Size)));
        return new ConfigurationResult(bytes.Length, Convert.ToHexStringLower(bytes), fields);
    }

    private static string Show(ReadOnlySpan<byte> field) => field.Length switch
    {
        1 => Text(field[0]),
        2 => Text(BinaryPrimitives.ReadUInt16LittleEndian(field)),
        4 => Text(BinaryPrimitives.ReadUInt32LittleEndian(field)),
        8 => Text(BinaryPrimitives.ReadUInt64LittleEndian(field)),
        _ => Convert.ToHexStringLower(field),
    };

    private static string Text(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ProbeResult))]
internal sealed partial class ProbeJson : JsonSerializerContext;

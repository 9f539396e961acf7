using System.Text.Json.Serialization;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Cli.Demo;

/// <summary>What <c>vio demo --format json</c> prints.</summary>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Head">The first of them, in hexadecimal.</param>
/// <param name="Milliseconds">How long it took.</param>
/// <param name="Features">Feature bits that were agreed on.</param>
/// <param name="Queue">What the device counted, if it is ours.</param>
internal sealed record DemoResult(int Bytes, string Head, double Milliseconds, IReadOnlyList<int> Features, QueueStatistics? Queue);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DemoResult))]
internal sealed partial class DemoJson : JsonSerializerContext;

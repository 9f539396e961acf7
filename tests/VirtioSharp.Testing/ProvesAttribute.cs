using Xunit.v3;

namespace VirtioSharp.Testing;

/// <summary>Says which row of the README's support table a test is the proof of.</summary>
/// <param name="feature">The row, in the reader's words: "INDIRECT_DESC".</param>
/// <param name="transport">The column: "loopback", "vhost-user (QEMU 7.2)", …</param>
[AttributeUsage(AttributeTargets.Method | AttributeTargets.Class, AllowMultiple = true)]
public sealed class ProvesAttribute(string feature, string transport) : Attribute, ITraitAttribute
{
    public string Feature { get; } = feature;

    public string Transport { get; } = transport;

    public IReadOnlyCollection<KeyValuePair<string, string>> GetTraits() => [new("proves", $"{Feature} | {Transport}")];
}

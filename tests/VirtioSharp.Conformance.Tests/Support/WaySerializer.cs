using System.Diagnostics.CodeAnalysis;
using VirtioSharp.Conformance.Tests.Support;
using Xunit.Sdk;

[assembly: RegisterXunitSerializer(typeof(WaySerializer), typeof(Way))]

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>A way as its name, so that each row is a test case of its own: only those keep their traits in xunit's results.</summary>
public sealed class WaySerializer : IXunitSerializer
{
    public object Deserialize(Type type, string serializedValue) => Way.All.Single(way => way.ToString() == serializedValue);

    public string Serialize(object value) => value.ToString()!;

    public bool IsSerializable(Type type, object? value, [NotNullWhen(false)] out string? failureReason)
    {
        failureReason = value is Way ? null : "only ways are";
        return failureReason is null;
    }
}

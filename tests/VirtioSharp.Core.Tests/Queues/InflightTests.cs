using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>A device that dies and its successor: each request completes once, in the order it was taken.</summary>
public class InflightTests
{
    private const int Turns = 120;

    public static TheoryData<string> Formats => ["split", "packed", "split in order", "packed in order", "split indirect", "packed indirect"];

    [Theory]
    [MemberData(nameof(Formats))]
    [Proves("In-flight tracking", "in process")]
    public void A_device_may_die_after_any_write(string format)
    {
        int writes;
        using (var immortal = new MortalDevice(FeaturesOf(format), seed: 1))
        {
            immortal.Live(Turns);
            writes = immortal.Writes;
        }

        Assert.InRange(writes, 100, 100_000);
        for (int death = 1; death <= writes; death++)
            Live(format, seed: 1, death, expected: 1);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void So_may_its_successors_also_before_they_are_at_work(string format)
    {
        var random = new Random(2);
        for (int seed = 2; seed < 300; seed++)
            Live(format, seed, [.. Enumerable.Range(0, 12).Select(_ => random.Next(1, random.Next(2) == 0 ? 5 : 40))], expected: 1);
    }

    private static void Live(string format, int seed, int death, int expected) => Live(format, seed, [death], expected);

    private static void Live(string format, int seed, int[] deaths, int expected)
    {
        using var mortal = new MortalDevice(FeaturesOf(format), seed, deaths);
        try
        {
            mortal.Live(Turns);
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"{format}, seed {seed}, deaths {string.Join(", ", deaths)}: {failure.Message}", failure);
        }

        Assert.InRange(mortal.Deaths, expected, deaths.Length);
    }

    private static FeatureSet FeaturesOf(string format)
    {
        FeatureSet features = Features.Version1;
        if (format.StartsWith("packed", StringComparison.Ordinal))
            features |= Features.RingPacked;
        if (format.EndsWith("in order", StringComparison.Ordinal))
            features |= Features.InOrder;
        if (format.EndsWith("indirect", StringComparison.Ordinal))
            features |= Features.IndirectDesc;
        return features;
    }
}

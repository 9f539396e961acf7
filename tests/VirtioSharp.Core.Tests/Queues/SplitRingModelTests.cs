using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

[Proves("Split ring", "in process")]
public sealed class SplitRingModelTests
{
    /// <summary>Chains per case: past the wrap of the 16-bit indices.</summary>
    private const int Chains = 67_000;

    /// <summary>Queue sizes, each with a seed that is new in every run and part of every message.</summary>
    public static TheoryData<int, int> Sizes => new(new[] { 1, 2, 4, 8 }.Select(size => (size, Environment.TickCount)));

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Both_ends_agree_with_a_plain_model_over_the_wrap(int size, int seed) => Run(size, indirect: false, eventIdx: false, seed);

    [Theory]
    [MemberData(nameof(Sizes))]
    [Proves("INDIRECT_DESC", "in process")]
    public void Both_ends_agree_with_a_plain_model_over_the_wrap_with_INDIRECT_DESC(int size, int seed) => Run(size, indirect: true, eventIdx: false, seed);

    [Theory]
    [MemberData(nameof(Sizes))]
    [Proves("EVENT_IDX", "in process")]
    public void Both_ends_agree_with_a_plain_model_over_the_wrap_with_EVENT_IDX(int size, int seed) => Run(size, indirect: false, eventIdx: true, seed);

    [Theory]
    [MemberData(nameof(Sizes))]
    [Proves("INDIRECT_DESC", "in process")]
    [Proves("EVENT_IDX", "in process")]
    public void Both_ends_agree_with_a_plain_model_over_the_wrap_with_INDIRECT_DESC_and_EVENT_IDX(int size, int seed) => Run(size, indirect: true, eventIdx: true, seed);

    private static void Run(int size, bool indirect, bool eventIdx, int seed)
    {
        using var pair = new RingPair(size, indirect, eventIdx, seed);

        for (long steps = 0; pair.Completed < Chains; steps++)
        {
            Assert.True(steps < 100L * Chains, $"{pair.Completed} chains after {steps} steps, seed {seed}: the ring stands still");
            pair.Step();
        }

        Assert.True(pair.Notifications > 100, "somebody slept now and then");
    }
}

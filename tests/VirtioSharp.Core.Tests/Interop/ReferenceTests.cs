using VirtioSharp.Bench.Rings;
using Xunit;

namespace VirtioSharp.Core.Tests.Interop;

/// <summary>Our rings against the ones in C that bench/rings measures with: written by the same hands, but in another language and another shape.</summary>
public sealed class ReferenceTests
{
    private const long Chains = 1_000_000;

    public static TheoryData<bool, bool, bool, int> Rings()
    {
        var rings = new TheoryData<bool, bool, bool, int>();
        foreach (bool packed in (bool[])[false, true])
            foreach (bool indirect in (bool[])[false, true])
                foreach (bool eventIdx in (bool[])[false, true])
                    rings.Add(packed, indirect, eventIdx, packed ? 255 : 256);
        return rings;
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void A_driver_in_C_gets_a_million_right_answers_from_our_device(bool packed, bool indirect, bool eventIdx, int size) =>
        Check(driverInC: true, deviceInC: false, packed, indirect, eventIdx, size);

    [Theory]
    [MemberData(nameof(Rings))]
    public void Our_driver_gets_a_million_right_answers_from_a_device_in_C(bool packed, bool indirect, bool eventIdx, int size) =>
        Check(driverInC: false, deviceInC: true, packed, indirect, eventIdx, size);

    [Theory]
    [InlineData(true, 3)]
    [InlineData(true, 7)]
    [InlineData(false, 4)]
    public void Rings_that_one_chain_nearly_fills_go_round_in_step(bool packed, int size)
    {
        Check(driverInC: true, deviceInC: false, packed, indirect: false, eventIdx: true, size);
        Check(driverInC: false, deviceInC: true, packed, indirect: false, eventIdx: true, size);
    }

    private static void Check(bool driverInC, bool deviceInC, bool packed, bool indirect, bool eventIdx, int size)
    {
        if (!Reference.IsAvailable(out string whyNot))
            Assert.Skip(whyNot);
        using var talk = new Talk(driverInC, deviceInC, packed, indirect, size, eventIdx);
        Assert.Null(VirtioSharp.Bench.Rings.Interop.Check(talk, Chains, seed: size));
    }
}

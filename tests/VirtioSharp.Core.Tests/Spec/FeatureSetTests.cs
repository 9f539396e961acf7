using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Core.Tests.Spec;

public sealed class FeatureSetTests
{
    [Fact]
    public void Every_bit_from_0_to_127_stands_alone()
    {
        for (int bit = 0; bit < FeatureSet.BitCount; bit++)
        {
            FeatureSet set = FeatureSet.Bit(bit);

            Assert.Equal([bit], set);
            Assert.Equal(1u << (bit % 32), set.Word((uint)bit / 32));
            Assert.Equal(1, Enumerable.Range(0, 4).Count(word => set.Word((uint)word) != 0));
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(128)]
    [InlineData(int.MinValue)]
    public void A_bit_outside_0_to_127_is_refused(int bit) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureSet.Bit(bit));

    [Fact]
    public void Four_words_make_a_set_and_a_fifth_changes_nothing()
    {
        FeatureSet set = Features.None
            .WithWord(0, 0x1111_1111).WithWord(1, 0x2222_2222).WithWord(2, 0x3333_3333).WithWord(3, 0x4444_4444)
            .WithWord(4, 0x5555_5555).WithWord(uint.MaxValue, 0x6666_6666);

        Assert.Equal(new FeatureSet(0x2222_2222_1111_1111, 0x4444_4444_3333_3333), set);
        Assert.Equal(0u, set.Word(4));
        Assert.Equal(0u, set.Word(uint.MaxValue));
    }

    [Fact]
    public void A_word_replaces_what_was_there_and_leaves_the_others()
    {
        var all = new FeatureSet(ulong.MaxValue, ulong.MaxValue);

        for (uint word = 0; word < 4; word++)
        {
            FeatureSet set = all.WithWord(word, 0x8000_0001);

            Assert.Equal(0x8000_0001, set.Word(word));
            Assert.Equal(3 * 32 + 2, set.Count());
        }
    }

    [Fact]
    public void A_set_has_another_when_every_bit_of_it_is_there()
    {
        FeatureSet set = FeatureSet.Bit(3) | FeatureSet.Bit(70);

        Assert.True(set.Has(FeatureSet.Bit(3)));
        Assert.True(set.Has(FeatureSet.Bit(70)));
        Assert.True(set.Has(set));
        Assert.True(set.Has(Features.None));
        Assert.False(set.Has(FeatureSet.Bit(6)));
        Assert.False(set.Has(FeatureSet.Bit(3) | FeatureSet.Bit(71)));
        Assert.False(Features.None.Has(FeatureSet.Bit(0)));
    }

    [Fact]
    public void Sets_are_joined_cut_and_taken_away_on_both_sides_of_bit_64()
    {
        FeatureSet a = FeatureSet.Bit(1) | FeatureSet.Bit(65);
        FeatureSet b = FeatureSet.Bit(1) | FeatureSet.Bit(66);

        Assert.Equal([1, 65, 66], a | b);
        Assert.Equal([1], a & b);
        Assert.Equal([65], a - b);
        Assert.True((a - a).IsEmpty);
        Assert.False(FeatureSet.Bit(127).IsEmpty);
    }

    [Fact]
    public void A_set_reads_as_names_where_bits_have_one_and_numbers_elsewhere()
    {
        Assert.Equal("none", Features.None.ToString());
        Assert.Equal("5 INDIRECT_DESC(28) VERSION_1(32) 65", (FeatureSet.Bit(65) | Features.Version1 | FeatureSet.Bit(5) | Features.IndirectDesc).ToString());
    }

    [Fact]
    public void The_named_features_are_the_bits_of_the_specification()
    {
        Assert.Equal([24], Features.NotifyOnEmpty);
        Assert.Equal([27], Features.AnyLayout);
        Assert.Equal([28], Features.IndirectDesc);
        Assert.Equal([29], Features.EventIdx);
        Assert.Equal([32], Features.Version1);
        Assert.Equal([33], Features.AccessPlatform);
        Assert.Equal([34], Features.RingPacked);
        Assert.Equal([35], Features.InOrder);
        Assert.Equal([36], Features.OrderPlatform);
        Assert.Equal([37], Features.SrIov);
        Assert.Equal([38], Features.NotificationData);
        Assert.Equal([39], Features.NotifyConfigData);
        Assert.Equal([40], Features.RingReset);
        Assert.Equal([41], Features.AdminQueue);
        Assert.Equal([43], Features.Suspend);
        Assert.Equal(Enumerable.Range(24, 26), Features.Reserved);
    }

    [Fact]
    public void The_status_bits_are_those_of_the_specification() =>
        Assert.Equal(
            [0, 1, 2, 4, 8, 16, 64, 128],
            Enum.GetValues<DeviceStatus>().Select(bit => (int)bit).Order());
}

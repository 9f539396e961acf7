using System.Runtime.CompilerServices;
using VirtioSharp.VhostUser.Protocol;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>The sizes that the vhost-user specification gives.</summary>
public sealed class PayloadTests
{
    [Fact]
    public void A_header_has_12_bytes() => Assert.Equal((12, 12), (Unsafe.SizeOf<MessageHeader>(), MessageHeader.Bytes));

    [Fact]
    public void A_vring_state_has_8_bytes() => Assert.Equal(8, Unsafe.SizeOf<VringState>());

    [Fact]
    public void A_vring_address_has_40_bytes() => Assert.Equal(40, Unsafe.SizeOf<VringAddress>());

    [Fact]
    public void A_memory_region_has_32_bytes_and_8_more_when_it_is_alone() =>
        Assert.Equal((32, 40), (Unsafe.SizeOf<MemoryRegionPayload>(), Unsafe.SizeOf<SingleMemoryRegion>()));

    [Fact]
    public void A_memory_table_starts_with_8_bytes() => Assert.Equal(8, Unsafe.SizeOf<MemoryTableHeader>());

    [Fact]
    public void Configuration_starts_with_12_bytes_and_has_at_most_256_more() =>
        Assert.Equal((12, 12, 268), (Unsafe.SizeOf<ConfigHeader>(), ConfigHeader.Bytes, MessageRule.MaxPayload));

    [Fact]
    public void An_inflight_description_has_24_bytes() => Assert.Equal(24, Unsafe.SizeOf<InflightDescription>());

    [Fact]
    public void A_log_description_has_16_bytes() => Assert.Equal(16, Unsafe.SizeOf<LogDescription>());

    [Fact]
    public void No_payload_is_larger_than_what_is_kept_for_it()
    {
        for (uint request = 0; request < 100; request++)
            if (MessageRule.TryGet(request, out MessageRule rule))
                Assert.InRange(rule.MaxSize, rule.MinSize, MessageRule.MaxPayload);
    }
}

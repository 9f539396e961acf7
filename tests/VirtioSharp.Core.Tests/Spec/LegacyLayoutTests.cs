using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Spec;

[Proves("Legacy ring layout", "in process")]
public sealed class LegacyLayoutTests
{
    [Theory]
    [InlineData(1, 4096, 16, 4096, 8192)]
    [InlineData(8, 4096, 128, 4096, 8192)]
    [InlineData(128, 4096, 2048, 4096, 8192)]
    [InlineData(256, 4096, 4096, 8192, 12288)]
    [InlineData(1024, 4096, 16384, 20480, 32768)]
    [InlineData(32768, 4096, 524288, 593920, 860160)]
    [InlineData(8, 64, 128, 192, 320)]
    [InlineData(8, 4, 128, 152, 224)]
    public void The_areas_lie_where_the_specification_puts_them(int size, int alignment, int driver, int device, int bytes) =>
        Assert.Equal(new LegacyLayout(driver, device, bytes), LegacyLayout.Of(size, alignment));

    [Fact]
    public void The_size_is_that_of_the_specifications_formula()
    {
        for (int shift = 0; shift <= 15; shift++)
        {
            int size = 1 << shift;
            for (int alignment = 4; alignment <= 65536; alignment *= 2)
            {
                LegacyLayout layout = LegacyLayout.Of(size, alignment);

                Assert.Equal(VirtqSize(size, alignment), layout.Bytes);
                Assert.Equal(0, layout.DeviceAreaOffset % alignment);
                Assert.True(layout.DeviceAreaOffset >= layout.DriverAreaOffset + SplitLayout.DriverAreaBytes(size));
                Assert.True(layout.Bytes >= layout.DeviceAreaOffset + SplitLayout.DeviceAreaBytes(size));
            }
        }
    }

    [Theory]
    [InlineData(8, LegacyLayout.PciAlignment)]
    [InlineData(256, LegacyLayout.PciAlignment)]
    [InlineData(64, 64)]
    public void A_ring_laid_out_so_works(int size, int alignment)
    {
        using var driver = new HostileDriver();
        driver.Negotiate();
        LegacyLayout legacy = LegacyLayout.Of(size, alignment);
        GuestAddress start = driver.Arena.Allocate(legacy.Bytes, alignment).Address;
        var ring = new RawRing(driver.Arena, new QueueLayout(size, start, start.Plus((ulong)legacy.DriverAreaOffset), start.Plus((ulong)legacy.DeviceAreaOffset)));
        driver.Host.EnableQueue(0, ring.Layout);
        driver.Host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);

        for (int i = 0; i < 2 * size; i++)
            ring.Offer((ushort)(i % size), new Entry(driver.Good.Address.Value, 16, DescriptorFlags.Write));
        ring.AvailableIndex = (ushort)size;
        driver.Kick();
        ring.AvailableIndex = (ushort)(2 * size);
        driver.Kick();

        for (int i = 0; i < 2 * size; i++)
        {
            Assert.True(ring.TryTakeUsed(out UsedElement used));
            Assert.Equal(((uint)(i % size), 16u), (used.Id, used.Length));
        }
    }

    /// <summary>The function of §2.7.2, with the ALIGN that it means (qalign there is a mask).</summary>
    private static int VirtqSize(int queueSize, int alignment)
    {
        return Align(16 * queueSize + sizeof(ushort) * (3 + queueSize)) + Align(sizeof(ushort) * 3 + 8 * queueSize);

        int Align(int x) => (x + (alignment - 1)) & ~(alignment - 1);
    }
}

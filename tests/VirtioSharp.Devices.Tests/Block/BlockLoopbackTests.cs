using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests.Block;

/// <summary>Our driver on our device.</summary>
[Proves("Block device", "loopback")]
[Proves("Block driver", "loopback")]
public sealed class BlockLoopbackTests
{
    private const int Sectors = 4096;

    public static TheoryData<bool, bool, int> Ways => new MatrixTheoryData<bool, bool, int>([false, true], [false, true], [1, 3]);

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_is_written_is_read_back_whatever_is_done_in_between(bool packed, bool inOrder, int queues)
    {
        FeatureSet rings = DeviceHostOptions.AllRingFeatures - (packed ? Features.None : Features.RingPacked) - (inOrder ? Features.None : Features.InOrder);
        var disk = new TestDisk(Sectors * 512) { Records = false };
        using var transport = new LoopbackTransport(new BlockDevice(disk, new BlockDeviceOptions { QueueCount = queues }), new DeviceHostOptions { RingFeatures = rings });
        using var driver = new BlockDriver(transport);
        var random = new Random(5);
        byte[] model = new byte[Sectors * 512];

        for (int round = 0; round < 300; round++)
        {
            int sectors = random.Next(1, 200), sector = random.Next(Sectors - sectors);
            byte[] data = new byte[sectors * 512];
            Span<byte> place = model.AsSpan(sector * 512, data.Length);
            switch (random.Next(4))
            {
                case 0:
                    driver.WriteZeroes((ulong)sector, (ulong)sectors, mayUnmap: random.Next(2) == 0);
                    place.Clear();
                    break;
                case 1:
                    driver.Flush();
                    break;
                default:
                    random.NextBytes(data);
                    driver.Write((ulong)sector, data);
                    data.CopyTo(place);
                    break;
            }

            driver.Read((ulong)sector, data);
            Assert.True(place.SequenceEqual(data), $"round {round}");
        }

        Assert.Equal(queues, driver.QueueCount);
        Assert.Equal(model, disk.Bytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("No allocation per request", "loopback")]
    public void Neither_end_allocates_anything_for_ten_thousand_requests(bool later)
    {
        var disk = new TestDisk(Sectors * 512) { Records = false, Holds = later };
        using var transport = new LoopbackTransport(new BlockDevice(disk));
        using var driver = new BlockDriver(transport);
        DmaBuffer buffer = transport.Dma.Allocate(4096);
        Run(1000);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(10_000);
        long after = GC.GetAllocatedBytesForCurrentThread();

        Assert.Equal(0, after - before);

        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                ulong sector = (ulong)(i * 8 % Sectors);
                Assert.True(driver.TrySubmit((i & 1) == 0 ? BlockRequest.Read(sector, buffer) : BlockRequest.Write(sector, buffer), out _));
                driver.Kick();
                if (later)
                {
                    disk.Complete(0);
                    transport.Host.Flush();
                }

                if (!driver.TryTake(out BlockResult result) || !result.IsDone)
                    Assert.Fail("no result");
            }
        }
    }
}

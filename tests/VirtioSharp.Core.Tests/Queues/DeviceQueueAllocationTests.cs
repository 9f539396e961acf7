using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

public sealed class DeviceQueueAllocationTests
{
    [Fact]
    public void A_device_queue_allocates_nothing_for_ten_thousand_chains_good_and_faulty()
    {
        using var driver = new HostileDriver();
        driver.Device.Answer = static (_, scoped ref chain) => chain.Write([1, 2, 3, 4]);
        driver.Observer.Faults.Capacity = 20_000;
        driver.Ring[0] = new Descriptor(driver.Good.Address.Value, 8, DescriptorFlags.Next, 1);
        driver.Ring[1] = new Descriptor(driver.Good.Address.Value, 8, DescriptorFlags.Write, 0);
        driver.Ring[2] = new Descriptor(0x10, 8, DescriptorFlags.Write, 0);
        Serve(driver, 1000);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Serve(driver, 10_000);
        long after = GC.GetAllocatedBytesForCurrentThread();

        Assert.Equal(0, after - before);
        Assert.Equal(11_000ul, driver.Host.Statistics(0).Chains);
        Assert.Equal(5_500, driver.Observer.Faults.Count);
        Assert.All(driver.Observer.Faults, fault => Assert.Equal(ChainFaultKind.AddressUnmapped, fault.Kind));
    }

    private static void Serve(HostileDriver driver, int chains)
    {
        for (int i = 0; i < chains; i += 4)
        {
            driver.Offer(0);
            driver.Offer(2);
            driver.Offer(0);
            driver.Offer(2);
            driver.Kick();
        }
    }
}

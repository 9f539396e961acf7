using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>The entropy device behind a function in software, driven register by register.</summary>
public sealed class EntropyOverPciTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(VirtioPciInterface.Modern)]
    [InlineData(VirtioPciInterface.Transitional)]
    [Proves("Entropy device", "in-process PCI, modern")]
    public void Bytes_come_through_the_modern_registers(VirtioPciInterface kind)
    {
        using var hand = new ModernHand(new RngDevice(), new VirtioPciOptions { Interface = kind });
        HandRing ring = hand.Start();

        for (int chain = 0; chain < 20; chain++)
        {
            ring.Add();
            hand.Notify(0);
            Assert.Equal(chain + 1, ring.UsedIndex);
            Assert.True(ring.BufferOf(chain).ToArray().Distinct().Count() > 10);
        }

        Assert.Equal(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk, hand.Status);
    }

    [Fact]
    [Proves("Entropy device", "in-process PCI, modern")]
    public void A_vector_tells_of_used_buffers()
    {
        using var hand = new ModernHand(new RngDevice());
        hand.Machine.UseMsix();
        hand.Negotiate(Features.Version1);
        HandRing ring = hand.EnableQueue(0, 8);
        hand.Write(CommonConfigurationRegister.QueueVector, 2, 1);
        hand.Status |= DeviceStatus.DriverOk;

        ring.Add();
        hand.Notify(0);

        Assert.True(hand.Machine.Interrupts.Wait(Patience));
        Assert.False(hand.Machine.Interrupts.TakeMessage(0));
        Assert.True(hand.Machine.Interrupts.TakeMessage(1));
        Assert.False(hand.Machine.Interrupts.TakeMessage(1));
        Assert.False(hand.Machine.Interrupts.IsLineRaised);
        Assert.False(hand.Machine.Interrupts.Wait(Patience));
    }

    [Theory]
    [InlineData(VirtioPciInterface.Legacy)]
    [InlineData(VirtioPciInterface.Transitional)]
    [Proves("Entropy device", "in-process PCI, legacy")]
    public void Bytes_come_through_the_legacy_registers(VirtioPciInterface kind)
    {
        using var hand = new LegacyHand(new RngDevice(), new VirtioPciOptions { Interface = kind });
        HandRing ring = hand.Start();

        for (int chain = 0; chain < 20; chain++)
        {
            ring.Add();
            hand.Notify(0);
            Assert.Equal(chain + 1, ring.UsedIndex);
            Assert.True(hand.Machine.Interrupts.IsLineRaised);
            Assert.Equal(1u, hand.ReadIsr());
            Assert.False(hand.Machine.Interrupts.IsLineRaised);
        }
    }

    [Fact]
    [Proves("Rate limit", "in-process PCI, modern")]
    public void A_device_that_waits_is_woken_while_its_driver_does()
    {
        using var hand = new ModernHand(new RngDevice(limit: new RateLimit(64, TimeSpan.FromMilliseconds(10.7))));
        HandRing ring = hand.Start();

        for (int i = 0; i < 5; i++)
            ring.Add();
        hand.Notify(0);

        while (ring.UsedIndex < 5)
        {
            Assert.True(hand.Machine.Interrupts.Wait(Patience));
            Assert.Equal(1u, hand.ReadIsr());
        }
    }
}

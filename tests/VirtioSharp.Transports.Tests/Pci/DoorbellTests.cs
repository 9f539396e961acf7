using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>Notifications answered by a signal (ioeventfd) and interrupts raised from outside (irqfd), as in a VMM.</summary>
public sealed class DoorbellTests
{
    private readonly ScriptedFunctionDevice _device = new();
    private int _rings;

    [Fact]
    [Proves("Doorbells", "in-process PCI, modern")]
    public void A_doorbell_rings_in_place_of_the_device_until_it_is_taken_away()
    {
        using var hand = new ModernHand(_device);
        HandRing ring = hand.Start();
        hand.Function.SetDoorbell(0, () => _rings++);
        ring.Add();

        hand.Notify(0);
        hand.Notify(0);
        Assert.Equal((2, 0), (_rings, ring.UsedIndex));
        hand.Function.Host.Notify(0); // whoever was signalled
        Assert.Equal(1, ring.UsedIndex);

        hand.Function.SetDoorbell(0, null);
        ring.Add();
        hand.Notify(0);
        Assert.Equal((2, 2), (_rings, ring.UsedIndex));
    }

    [Fact]
    [Proves("Doorbells", "in-process PCI, modern")]
    public void A_doorbell_answers_only_its_own_queue_and_every_width_of_notification()
    {
        using var hand = new ModernHand(_device);
        hand.Negotiate(Features.Version1 | Features.NotificationData);
        hand.Function.SetDoorbell(1, () => _rings++);

        hand.Notify(0);
        Assert.Equal(0, _rings);
        hand.Bar.Write(hand.NotifyAddress(1), 4, 0x8001_0001);
        Assert.Equal(1, _rings);
    }

    [Fact]
    [Proves("Doorbells", "in-process PCI, legacy")]
    public void The_legacy_notify_register_rings_the_queue_it_is_written_with()
    {
        using var hand = new LegacyHand(_device);
        hand.Start();
        hand.Machine.Function.SetDoorbell(1, () => _rings++);

        hand.Notify(0);
        Assert.Equal(0, _rings);
        hand.Notify(1);
        Assert.Equal(1, _rings);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("Doorbells", "in-process PCI, modern")]
    public async Task Another_thread_interrupts_for_a_queue_by_vector_or_by_line(bool msix)
    {
        using var hand = new ModernHand(_device);
        hand.Function.IsInterruptedFromOutside = true;
        if (msix)
            hand.Machine.UseMsix();
        hand.Start();
        hand.Write(Spec.Pci.CommonConfigurationRegister.QueueVector, 2, 1);
        Task other = Task.Run(() => hand.Function.Interrupts.SignalUsed(0), TestContext.Current.CancellationToken);

        Assert.True(hand.Machine.Interrupts.Wait(TimeSpan.FromSeconds(30)));

        Assert.Equal(msix, hand.Machine.Interrupts.TakeMessage(1));
        Assert.Equal(msix ? 0u : 1u, hand.ReadIsr());
        await other;
    }

    [Fact]
    public void Interrupts_for_queues_that_do_not_exist_are_harmless()
    {
        using var hand = new ModernHand(_device);

        hand.Function.Interrupts.SignalUsed(2);
        hand.Function.Interrupts.SignalUsed(-1);

        Assert.Equal(0u, hand.ReadIsr());
    }
}

using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>The host in this process: plugging, routing, waiting.</summary>
public sealed class SoftwarePciHostTests
{
    [Fact]
    public void Where_nothing_is_plugged_in_everything_reads_all_ones()
    {
        using var host = new SoftwarePciHost();
        var nowhere = new PciAddress(3, 31, 7);

        Assert.Equal((0xFFFF_FFFFu, 0xFFFFu, 0xFFu), (host.ReadConfiguration(nowhere, 0, 4), host.ReadConfiguration(nowhere, 0, 2), host.ReadConfiguration(nowhere, 0, 1)));
        Assert.Equal(0xFFu, host.OpenIo(host.IoAperture.Start, 4).Read(0, 1));
        Assert.Equal(0xFFFFu, host.OpenMemory(host.MemoryAperture.Start, 4).Read(0, 2));
        host.WriteConfiguration(nowhere, 4, 2, 7);
        host.OpenMemory(host.MemoryAperture.Start, 4).Write(0, 4, 1);
        host.Unplug(nowhere);
        Assert.False(host.OpenInterrupts(nowhere).HasLine);
        Assert.False(host.OpenInterrupts(nowhere).Wait(TimeSpan.FromDays(1)));
    }

    [Fact]
    [Proves("Hot plug", "in-process PCI, modern")]
    [Proves("Hot plug", "in-process PCI, legacy")]
    public void A_function_that_was_pulled_out_reads_all_ones_and_touches_nothing()
    {
        using var hand = new LegacyHand(new RngDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional });
        HandRing ring = hand.Start();
        ring.Add();
        IRegisterWindow memory = hand.Machine.Bar(4);

        hand.Machine.Host.Unplug(PciMachine.Address);
        hand.Notify(0);

        Assert.Equal(0xFFFF_FFFFu, hand.Machine.Read(0, 4));
        Assert.Equal((0xFFu, 0xFFu), ((uint)hand.Status, memory.Read(CommonConfigurationRegister.DeviceStatus, 1)));
        Assert.Equal(0, ring.UsedIndex);
        Assert.False(hand.Machine.Interrupts.IsLineRaised || hand.Machine.Interrupts.Wait(TimeSpan.FromDays(1)));
        hand.Machine.Function.Msix!.Raise(0);
        Assert.False(hand.Machine.Function.Host.IsEnabled(0));
    }

    [Fact]
    [Proves("Hot plug", "in-process PCI, modern")]
    public void A_function_can_be_plugged_in_while_another_runs_and_again_elsewhere()
    {
        using var hand = new ModernHand(new RngDevice());
        HandRing ring = hand.Start();
        var second = new VirtioPciFunction(new RngDevice());
        hand.Machine.Host.Plug(new PciAddress(0, 5), second);
        Assert.Equal(0x1044_1AF4u, hand.Machine.Host.ReadConfiguration(new PciAddress(0, 5), 0, 4));
        ring.Add();
        hand.Notify(0);
        Assert.Equal(1, ring.UsedIndex);

        hand.Machine.Host.Unplug(new PciAddress(0, 5));
        hand.Machine.Host.Plug(new PciAddress(1, 6), second);

        Assert.Equal(0x1044_1AF4u, hand.Machine.Host.ReadConfiguration(new PciAddress(1, 6), 0, 4));
        Assert.Throws<InvalidOperationException>(() => hand.Machine.Host.Plug(new PciAddress(0, 7), second));
        Assert.Throws<InvalidOperationException>(() => hand.Machine.Host.Plug(PciMachine.Address, new VirtioPciFunction(new RngDevice())));
    }

    [Fact]
    public void Functions_of_one_device_say_so_in_the_header_type()
    {
        using var host = new SoftwarePciHost();
        host.Plug(new PciAddress(0, 2), new VirtioPciFunction(new RngDevice()));
        Assert.Equal(0u, host.ReadConfiguration(new PciAddress(0, 2), PciConfigurationRegister.HeaderType, 1));

        host.Plug(new PciAddress(0, 2, 3), new VirtioPciFunction(new RngDevice()));

        Assert.Equal(0x80u, host.ReadConfiguration(new PciAddress(0, 2), PciConfigurationRegister.HeaderType, 1));
        Assert.Equal(0x80_0000u, host.ReadConfiguration(new PciAddress(0, 2, 3), 0x0C, 4));
    }

    [Fact]
    public void Two_functions_with_the_same_kind_of_BAR_are_told_apart_by_address()
    {
        using var host = new SoftwarePciHost();
        foreach (byte device in (byte[])[1, 2])
        {
            var address = new PciAddress(0, device);
            host.Plug(address, new VirtioPciFunction(new RngDevice()));
            host.WriteConfiguration(address, PciConfigurationRegister.Bar(4), 4, 0xC000_0000u + 0x4000u * device);
            host.WriteConfiguration(address, PciConfigurationRegister.Command, 2, (uint)PciCommand.MemorySpace);
        }

        IRegisterWindow both = host.OpenMemory(0xC000_4000, 0x8000);
        both.Write(CommonConfigurationRegister.DeviceStatus, 1, 1);
        both.Write(0x4000 + CommonConfigurationRegister.DeviceStatus, 1, 3);

        Assert.Equal((1u, 3u), (both.Read(CommonConfigurationRegister.DeviceStatus, 1), both.Read(0x4000 + CommonConfigurationRegister.DeviceStatus, 1)));
    }

    [Fact]
    public void A_completion_outside_of_a_service_arrives_while_the_driver_waits()
    {
        var device = new ScriptedFunctionDevice { Holds = true };
        using var hand = new ModernHand(device);
        HandRing ring = hand.Start();
        ring.Add();
        hand.Notify(0);
        Assert.False(hand.Machine.Interrupts.Wait(TimeSpan.FromDays(1)));

        device.Held[0].Complete(0);

        Assert.Equal(TimeSpan.Zero, hand.Function.UntilWork);
        Assert.True(hand.Machine.Interrupts.Wait(TimeSpan.Zero));
        Assert.Equal((1, 1u), (ring.UsedIndex, hand.ReadIsr()));
        Assert.Null(hand.Function.UntilWork);
    }

    [Fact]
    public void An_alarm_later_than_the_timeout_is_not_waited_for()
    {
        using var hand = new ModernHand(new RngDevice(limit: new RateLimit(64, TimeSpan.FromDays(1))));
        HandRing ring = hand.Start();
        ring.Add();
        ring.Add();
        hand.Notify(0);
        _ = hand.ReadIsr();
        _ = hand.Machine.Interrupts.Wait(TimeSpan.Zero);

        Assert.False(hand.Machine.Interrupts.Wait(TimeSpan.FromHours(1)));
        Assert.Equal(1, ring.UsedIndex);
    }

    [Fact]
    public void The_messages_of_two_functions_are_told_apart()
    {
        using var host = new SoftwarePciHost(messages: 4);
        IPciInterrupts first = host.OpenInterrupts(new PciAddress(0, 1)), second = host.OpenInterrupts(new PciAddress(0, 2));

        Assert.NotEqual(first.MessageFor(1).Address, second.MessageFor(1).Address);
        Assert.Same(first, host.OpenInterrupts(new PciAddress(0, 1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => first.MessageFor(4));
        Assert.Equal(4, first.MaxMessages);
    }
}

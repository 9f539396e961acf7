using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;
using static VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>Nothing on the way of a register access, a notification or an interrupt is allocated.</summary>
public sealed class RegisterAllocationTests
{
    private const int Rounds = 10_000;

    [Fact]
    [Proves("No allocation per request", "in-process PCI, modern")]
    public void Modern_registers_and_requests_allocate_nothing()
    {
        using var hand = new ModernHand(new ScriptedFunctionDevice());
        hand.Machine.UseMsix();
        HandRing ring = hand.Start();
        hand.Write(QueueVector, 2, 1);
        ulong notify = hand.NotifyAddress(0);
        ulong device = hand.OffsetOf(VirtioPciCapabilityType.DeviceConfiguration);
        IPciInterrupts interrupts = hand.Machine.Interrupts;
        int messages = 0;

        AssertNoAllocation(() =>
        {
            for (int offset = 0; offset < Size; offset += 2)
                hand.Read(offset, 2);
            hand.Write(QueueSelect, 2, 1);
            hand.Write64(QueueDescriptorArea, 4096);
            hand.Bar.Write(device, 4, 1);
            hand.Bar.Read(device, 4);
            hand.ReadIsr();
            hand.Machine.Bar(1).Write(MsixLayout.EntryControl, 4, 1);
            hand.Function.Msix!.Raise(0);
            hand.Machine.Bar(1).Write(MsixLayout.EntryControl, 4, 0);
            interrupts.TakeMessage(0);
            hand.Machine.Read(PciConfigurationRegister.Status, 2);
            hand.Machine.Write(PciConfigurationRegister.InterruptLine, 1, 11);
            ring.Add();
            hand.Bar.Write(notify, 2, 0);
            interrupts.Wait(TimeSpan.Zero);
            messages += interrupts.TakeMessage(1) ? 1 : 0;
        });
        Assert.Equal((ushort)(2 * Rounds), ring.UsedIndex);
        Assert.Equal(2 * Rounds, messages);
    }

    [Fact]
    [Proves("No allocation per request", "in-process PCI, legacy")]
    public void Legacy_registers_and_requests_allocate_nothing()
    {
        using var hand = new LegacyHand(new ScriptedFunctionDevice());
        HandRing ring = hand.Start();

        AssertNoAllocation(() =>
        {
            for (int offset = 0; offset < 0x1C; offset++)
                hand.Read(offset, 1);
            hand.Write(LegacyPciRegister.QueueSelect, 2, 0);
            ring.Add();
            hand.Notify(0);
            Assert.True(hand.Machine.Interrupts.IsLineRaised);
            hand.ReadIsr();
        });
        Assert.Equal((ushort)(2 * Rounds), ring.UsedIndex);
    }

    private static void AssertNoAllocation(Action round)
    {
        for (int i = 0; i < Rounds; i++)
            round();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Rounds; i++)
            round();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}

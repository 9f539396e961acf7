using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;
using static VirtioSharp.Spec.Pci.PciConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>What any PCI function does, before anything of virtio (PCI 3.0 §6).</summary>
public sealed class ConfigurationSpaceTests
{
    [Theory]
    [InlineData(VirtioPciInterface.Modern, 0x1044u, 1u, 0x1044u)]
    [InlineData(VirtioPciInterface.Legacy, 0x1005u, 0u, 4u)]
    [InlineData(VirtioPciInterface.Transitional, 0x1005u, 0u, 4u)]
    public void A_function_says_what_it_is(VirtioPciInterface kind, uint device, uint revision, uint subsystem)
    {
        using var machine = new PciMachine(new RngDevice(), new VirtioPciOptions { Interface = kind });

        Assert.Equal(0x1AF4u | device << 16, machine.Read(VendorId, 4));
        Assert.Equal(revision, machine.Read(Revision, 1));
        Assert.Equal(0x00FF00u, machine.Read(Revision, 4) >> 8);
        Assert.Equal((0x1AF4u, subsystem), (machine.Read(SubsystemVendorId, 2), machine.Read(SubsystemId, 2)));
        Assert.Equal((0u, 1u), (machine.Read(HeaderType, 1), machine.Read(InterruptPin, 1)));
    }

    [Fact]
    public void A_device_type_that_came_after_the_legacy_interface_has_none() =>
        Assert.Throws<ArgumentException>(() => new VirtioPciFunction(new ScriptedFunctionDevice(id: Spec.DeviceId.Gpu), new VirtioPciOptions { Interface = VirtioPciInterface.Legacy }));

    [Fact]
    public void Only_the_bits_that_are_the_drivers_can_be_written()
    {
        using var machine = new PciMachine(new RngDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional }, placed: false);
        uint id = machine.Read(VendorId, 4);
        uint status = machine.Read(Status, 2);

        for (int offset = 0; offset < FirstCapability; offset += 4)
            machine.Write(offset, 4, 0xFFFF_FFFF);

        Assert.Equal(id, machine.Read(VendorId, 4));
        Assert.Equal(status, machine.Read(Status, 2));
        Assert.Equal(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster | PciCommand.InterruptDisable, machine.Command);
        Assert.Equal(0xFFu, machine.Read(InterruptLine, 1));
        Assert.Equal(1u, machine.Read(InterruptPin, 1));
        Assert.Equal(0x40u, machine.Read(CapabilityPointer, 4));
    }

    [Fact]
    public void A_function_without_IO_BARs_has_no_IO_space_to_enable()
    {
        using var machine = new PciMachine(new RngDevice());

        Assert.Equal(PciCommand.MemorySpace | PciCommand.BusMaster, machine.Command);
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 4)]
    [InlineData(0, 3)]
    [InlineData(0, 8)]
    [InlineData(-4, 4)]
    [InlineData(256, 1)]
    [InlineData(254, 4)]
    public void Odd_configuration_accesses_read_all_ones_and_write_nothing(int offset, int width)
    {
        using var machine = new PciMachine(new RngDevice());
        PciCommand command = machine.Command;

        machine.Write(offset, width, 0);

        Assert.Equal(width == 2 ? 0xFFFFu : width == 1 ? 0xFFu : 0xFFFF_FFFFu, machine.Read(offset, width));
        Assert.Equal(command, machine.Command);
    }

    [Fact]
    public void Sizing_a_BAR_shows_its_length_and_its_kind()
    {
        using var machine = new PciMachine(new RngDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional });

        Assert.Equal(0xFFFF_FFE1u, machine.SizeOf(0)); // 32 bytes of I/O
        Assert.Equal(0xFFFF_F000u, machine.SizeOf(1)); // 4 KiB of memory below 4 GiB
        Assert.Equal(0u, machine.SizeOf(2));
        Assert.Equal(0u, machine.SizeOf(3));
        Assert.Equal(0xFFFF_C004u, machine.SizeOf(4)); // 16 KiB of memory anywhere
        Assert.Equal(0xFFFF_FFFFu, machine.SizeOf(5)); // the upper half
    }

    [Fact]
    public void A_BAR_may_lie_beyond_4_GiB()
    {
        using var hand = new ModernHand(new RngDevice());
        hand.Machine.Write(Bar(4), 4, 0x4000_0000);
        hand.Machine.Write(Bar(5), 4, 0x12);
        IRegisterWindow window = hand.Machine.Host.OpenMemory(0x12_4000_0000, 0x4000);

        Assert.Equal(1u, window.Read(CommonConfigurationRegister.QueueCount, 2));
        Assert.Equal(0xFFFFu, hand.Read(CommonConfigurationRegister.QueueCount, 2)); // where it was
    }

    [Fact]
    public void A_BAR_answers_only_while_the_command_register_lets_it()
    {
        using var machine = new PciMachine(new RngDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional });
        IRegisterWindow io = machine.Bar(0), memory = machine.Bar(4);

        machine.Command = PciCommand.IoSpace;
        Assert.Equal((0u, 0xFFu), (io.Read(LegacyPciRegister.DeviceStatus, 1), memory.Read(CommonConfigurationRegister.DeviceStatus, 1)));
        memory.Write(CommonConfigurationRegister.DeviceStatus, 1, 1);

        machine.Command = PciCommand.MemorySpace;
        Assert.Equal((0xFFu, 0u), (io.Read(LegacyPciRegister.DeviceStatus, 1), memory.Read(CommonConfigurationRegister.DeviceStatus, 1)));
    }

    [Fact]
    public void A_BAR_without_an_address_does_not_answer()
    {
        using var machine = new PciMachine(new RngDevice(), placed: false);
        machine.Command = PciCommand.MemorySpace;

        Assert.Equal(0xFFFF_FFFFu, machine.Host.OpenMemory(0, 0x4000).Read(0, 4));
    }

    [Fact]
    public void Where_a_BAR_has_no_registers_it_reads_zero_and_beyond_it_nobody_answers()
    {
        using var machine = new PciMachine(new RngDevice());
        IRegisterWindow wide = machine.Host.OpenMemory(machine.Host.MemoryAperture.Start, 0x8000);

        Assert.Equal(0u, machine.Bar(1).Read(0xFFC, 4)); // behind the pending bits
        Assert.Equal(0xFFFF_FFFFu, machine.Bar(1).Read(0x1000, 4));
        Assert.Equal(0xFFFF_FFFFu, machine.Bar(1).Read(0xFFE, 4));
        Assert.Equal(0xFFFF_FFFFu, wide.Read(0x1000, 4)); // between two BARs
        Assert.Equal(1u, wide.Read(0x4000 + CommonConfigurationRegister.QueueCount, 2));
        wide.Write(0x1000, 4, 1);
    }

    [Fact]
    public void The_capabilities_are_a_list_that_ends()
    {
        using var machine = new PciMachine(new ScriptedFunctionDevice());
        List<uint> types = [];

        machine.FindCapability(at =>
        {
            if (machine.Read(at, 1) == (uint)PciCapabilityId.Vendor)
                types.Add(machine.Read(at + VirtioPciCapabilityLayout.Type, 1));
            return false;
        });

        Assert.Equal([1u, 3u, 4u, 2u, 5u], types);
        Assert.NotEqual(0u, machine.Read(Status, 2) & (uint)PciStatus.CapabilityList);
        Assert.NotEqual(0, machine.FindCapability(PciCapabilityId.MsiX));
    }

    [Fact]
    public void Too_many_capabilities_are_refused()
    {
        var vendor = new PciVendorData(0x1234, new byte[120]);

        Assert.Throws<ArgumentException>(() => new VirtioPciFunction(new RngDevice(), new VirtioPciOptions { VendorData = [vendor] }));
    }

    [Fact]
    public void A_function_that_is_reset_by_its_bus_forgets_everything()
    {
        using var hand = new ModernHand(new RngDevice());
        hand.Start();

        hand.Function.Reset();

        Assert.Equal(PciCommand.None, hand.Machine.Command);
        Assert.Equal(0u, hand.Machine.Read(Bar(1), 4));
        Assert.Equal(DeviceStatus.Reset, hand.Function.Host.Status);
        Assert.False(hand.Function.Host.IsEnabled(0));
    }
}

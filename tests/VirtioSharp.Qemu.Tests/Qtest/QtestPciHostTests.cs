using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Tests.Qtest;

public class QtestPciHostTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<QtestMachineType, PciConfigurationMechanism> Mechanisms => new()
    {
        { QtestMachineType.Q35, PciConfigurationMechanism.Memory },
        { QtestMachineType.Q35, PciConfigurationMechanism.Ports },
        { QtestMachineType.Pc, PciConfigurationMechanism.Ports },
    };

    [Theory]
    [MemberData(nameof(Mechanisms))]
    public async Task The_bus_shows_the_chipset_and_the_device(QtestMachineType type, PciConfigurationMechanism mechanism)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, NetworkPanel.Device);
        using QtestPciHost host = new(machine, mechanism);

        uint[] ids = [.. Enumerable.Range(0, 8).Select(device => host.ReadConfiguration(new((byte)0, (byte)device), 0, 4))];

        Assert.Equal(type == QtestMachineType.Q35 ? 0x29C0_8086u : 0x1237_8086u, ids[0]);
        Assert.Equal(0x1000_1AF4u, ids[5]);
        Assert.Equal(uint.MaxValue, ids[7]);
    }

    [Theory]
    [MemberData(nameof(Mechanisms))]
    public async Task Configuration_registers_are_written_in_each_width(QtestMachineType type, PciConfigurationMechanism mechanism)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, NetworkPanel.Device);
        using QtestPciHost host = new(machine, mechanism);

        host.WriteConfiguration(NetworkPanel.Address, PciConfigurationRegister.InterruptLine, 1, 0x1A5);
        host.WriteConfiguration(NetworkPanel.Address, PciConfigurationRegister.Command, 2, (uint)PciCommand.BusMaster);
        host.WriteConfiguration(NetworkPanel.Address, PciConfigurationRegister.Bar(1), 4, 0xFFFF_FFFF);

        Assert.Equal(0xA5u, host.ReadConfiguration(NetworkPanel.Address, PciConfigurationRegister.InterruptLine, 1));
        Assert.Equal((uint)PciCommand.BusMaster, host.ReadConfiguration(NetworkPanel.Address, PciConfigurationRegister.Command, 2));
        Assert.Equal(0xFFFF_F000u, host.ReadConfiguration(NetworkPanel.Address, PciConfigurationRegister.Bar(1), 4));
    }

    [Theory]
    [MemberData(nameof(Mechanisms))]
    public async Task The_bus_finds_the_device_and_places_its_registers(QtestMachineType type, PciConfigurationMechanism mechanism)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, NetworkPanel.Device);
        using QtestPciHost host = new(machine, mechanism);
        using PciBus bus = new(host);

        bus.Scan();
        using IPciFunction? function = bus.OpenFirst(DeviceId.Network);

        Assert.NotNull(function);
        Assert.Equal(0u, function.OpenBar(0)!.Read(LegacyPciRegister.DeviceStatus, 1));
        IRegisterWindow modern = function.OpenBar(4)!;
        modern.Write(CommonConfigurationRegister.DeviceStatus, 1, (uint)DeviceStatus.Acknowledge);
        Assert.Equal((uint)DeviceStatus.Acknowledge, modern.Read(CommonConfigurationRegister.DeviceStatus, 1));
        Assert.Equal((uint)DeviceStatus.Acknowledge, function.OpenBar(0)!.Read(LegacyPciRegister.DeviceStatus, 1));
    }

    [Theory]
    [InlineData(QtestMachineType.Q35)]
    [InlineData(QtestMachineType.Pc)]
    public async Task A_message_arrives_once_and_under_its_number(QtestMachineType type)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, NetworkPanel.Device);
        NetworkPanel network = new(machine);
        network.UseMessage(3);
        network.Start();
        Assert.False(network.Interrupts.Wait(TimeSpan.Zero));

        await network.SetLinkAsync(false, Cancel);

        Assert.True(network.Interrupts.Wait(Guests.Patience));
        Assert.False(network.Interrupts.TakeMessage(2));
        Assert.True(network.Interrupts.TakeMessage(3));
        Assert.False(network.Interrupts.TakeMessage(3));
        Assert.False(network.Interrupts.IsLineRaised);
    }

    [Theory]
    [InlineData(QtestMachineType.Q35)]
    [InlineData(QtestMachineType.Pc)]
    public async Task A_masked_message_is_held_back_until_it_is_unmasked(QtestMachineType type)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, NetworkPanel.Device);
        NetworkPanel network = new(machine);
        network.UseMessage(0);
        network.Start();
        network.Vectors.Write(MsixLayout.EntryControl, 4, MsixLayout.EntryMasked);

        await network.SetLinkAsync(false, Cancel);
        bool early = network.Interrupts.TakeMessage(0);
        network.Vectors.Write(MsixLayout.EntryControl, 4, 0);

        Assert.False(early);
        Assert.True(network.Interrupts.Wait(Guests.Patience));
        Assert.True(network.Interrupts.TakeMessage(0));
    }

    [Theory]
    [InlineData(QtestMachineType.Q35)]
    [InlineData(QtestMachineType.Pc)]
    public async Task The_line_is_raised_until_the_status_is_read(QtestMachineType type)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, NetworkPanel.Device);
        NetworkPanel network = new(machine);
        network.Start();
        Assert.True(network.Interrupts.HasLine);
        Assert.False(network.Interrupts.Wait(TimeSpan.Zero));

        await network.SetLinkAsync(false, Cancel);

        Assert.True(network.Interrupts.Wait(Guests.Patience));
        Assert.True(network.Interrupts.IsLineRaised);
        Assert.NotEqual(0u, network.InterruptStatus & (uint)InterruptStatus.ConfigurationChange);
        Assert.False(network.Interrupts.IsLineRaised);
    }

    [Theory]
    [InlineData(QtestMachineType.Q35)]
    [InlineData(QtestMachineType.Pc)]
    public async Task Each_slot_has_its_own_line(QtestMachineType type)
    {
        string[] two = ["-device", "virtio-net-pci,id=net0,addr=5,romfile=", "-device", "virtio-rng-pci,addr=6"];
        await using QtestMachine machine = await Machines.StartAsync(type, two);
        NetworkPanel network = new(machine);
        IPciInterrupts other = new QtestPciHost(machine).OpenInterrupts(new(0, 6));
        network.Start();

        await network.SetLinkAsync(false, Cancel);

        Assert.True(network.Interrupts.Wait(Guests.Patience));
        Assert.False(other.IsLineRaised);
    }

    [Fact]
    public async Task A_wait_ends_when_QEMU_does()
    {
        await using QtestMachine machine = await Machines.StartAsync(QtestMachineType.Q35, NetworkPanel.Device);
        NetworkPanel network = new(machine);
        Task<bool> wait = Task.Run(() => network.Interrupts.Wait(TimeSpan.FromHours(1)), Cancel);

        machine.Kill();

        Assert.False(await wait.WaitAsync(Guests.Patience, Cancel));
    }

    [Fact]
    public async Task An_access_outside_its_window_is_refused()
    {
        await using QtestMachine machine = await Machines.StartAsync(QtestMachineType.Q35);
        using QtestPciHost host = new(machine);

        IRegisterWindow memory = host.OpenMemory(host.MemoryAperture.Start, 0x1000);
        IRegisterWindow ports = host.OpenIo(host.IoAperture.Start, 0x20);

        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(0xFFE, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Write(ulong.MaxValue, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(0, 8));
        Assert.Throws<ArgumentOutOfRangeException>(() => ports.Read(0x20, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => host.OpenIo(0xFFF0, 0x20));
    }

    [Theory]
    [InlineData(QtestMachineType.MicroVm)]
    [InlineData(QtestMachineType.ArmVirt)]
    public async Task A_machine_without_a_known_bus_is_refused(QtestMachineType type)
    {
        await using QtestMachine machine = await Machines.StartAsync(type);

        Assert.Throws<ArgumentException>(() => new QtestPciHost(machine));
    }
}

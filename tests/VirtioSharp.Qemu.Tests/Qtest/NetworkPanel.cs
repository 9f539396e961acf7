using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Tests.Qtest;

/// <summary>
/// QEMU's virtio-net-pci, driven register by register and without a queue. It interrupts whenever a control command
/// takes its link down or up: the shortest way to an interrupt of a real device.
/// </summary>
internal sealed class NetworkPanel
{
    public static readonly string[] Device = ["-device", "virtio-net-pci,id=net0,addr=5,romfile="];
    public static readonly PciAddress Address = new(0, 5);
    private const int MsixBar = 1, RegisterBar = 4; // QEMU's layout
    private const uint InterruptStatusOffset = 0x1000;

    private readonly QtestMachine _machine;
    private readonly QtestPciHost _host;

    public NetworkPanel(QtestMachine machine)
    {
        (_machine, _host) = (machine, new QtestPciHost(machine));
        Interrupts = _host.OpenInterrupts(Address);
        Registers = Place(RegisterBar, _host.MemoryAperture.Start, 0x4000);
        Vectors = Place(MsixBar, _host.MemoryAperture.Start + 0x10000, 0x1000);
        Write(PciConfigurationRegister.Command, 2, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
    }

    public IPciInterrupts Interrupts { get; }

    public IRegisterWindow Registers { get; }

    public IRegisterWindow Vectors { get; }

    public uint InterruptStatus => Registers.Read(InterruptStatusOffset, 1);

    /// <summary>Leads the configuration interrupt to a message by way of table entry 0.</summary>
    public void UseMessage(int number)
    {
        PciMessage message = Interrupts.MessageFor(number);
        Vectors.Write(MsixLayout.EntryAddress, 4, (uint)message.Address);
        Vectors.Write(MsixLayout.EntryAddress + 4, 4, (uint)(message.Address >> 32));
        Vectors.Write(MsixLayout.EntryData, 4, message.Data);
        Vectors.Write(MsixLayout.EntryControl, 4, 0);
        Write(FindMsix() + MsixLayout.ControlOffset, 2, MsixLayout.Enable);
        Registers.Write(CommonConfigurationRegister.ConfigurationVector, 2, 0);
    }

    public void Start()
    {
        const DeviceStatus live = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk;
        Registers.Write(CommonConfigurationRegister.DeviceStatus, 1, (uint)live);
    }

    public Task SetLinkAsync(bool up, CancellationToken cancellationToken) =>
        _machine.ExecuteAsync("set_link", new() { ["name"] = "net0", ["up"] = up }, cancellationToken);

    private IRegisterWindow Place(int bar, ulong address, ulong length)
    {
        Write(PciConfigurationRegister.Bar(bar), 4, (uint)address);
        return _host.OpenMemory(address, length);
    }

    private int FindMsix()
    {
        uint at = _host.ReadConfiguration(Address, PciConfigurationRegister.CapabilityPointer, 1);
        while (at != 0 && _host.ReadConfiguration(Address, (int)at, 1) != (uint)PciCapabilityId.MsiX)
            at = _host.ReadConfiguration(Address, (int)at + 1, 1);
        return (int)at;
    }

    private void Write(int offset, int width, uint value) => _host.WriteConfiguration(Address, offset, width, value);
}

using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>The PCI bus of a q35 or pc machine, as its firmware and drivers have it. No firmware ran: BARs are to be placed.</summary>
public sealed class QtestPciHost : IPciHost
{
    private const ushort AddressPort = 0xCF8;
    private const ushort DataPort = 0xCFC;

    // Above all memory that a qtest machine has, and below the I/O APIC; ports below are the chipset's own.
    private const ulong ExpressStart = 0xB000_0000;
    private static readonly PciAperture Memory = new(0xC000_0000, 0x3E00_0000);
    private static readonly PciAperture Io = new(0xC000, 0x4000);

    private readonly QtestMachine _machine;

    /// <summary>Takes a machine's bus into use.</summary>
    /// <param name="machine">A q35 or a pc; not disposed.</param>
    /// <param name="mechanism">How to reach configuration space; null: the best that the machine has.</param>
    public QtestPciHost(QtestMachine machine, PciConfigurationMechanism? mechanism = null)
    {
        ArgumentNullException.ThrowIfNull(machine);
        bool express = machine.Type == QtestMachineType.Q35;
        if (!express && machine.Type != QtestMachineType.Pc)
            throw new ArgumentException($"{machine.Type} has no PCI bus that is known here", nameof(machine));
        Mechanism = mechanism ?? (express ? PciConfigurationMechanism.Memory : PciConfigurationMechanism.Ports);
        if (Mechanism == PciConfigurationMechanism.Memory && !express)
            throw new ArgumentException("only q35 has its configuration space in memory", nameof(mechanism));
        _machine = machine;
        if (express)
            Q35.PlaceConfigurationSpace(this, ExpressStart);
        else
            Piix3.RouteInterrupts(this);
    }

    /// <summary>How configuration space is reached.</summary>
    public PciConfigurationMechanism Mechanism { get; }

    /// <inheritdoc/>
    public DmaArena Dma => _machine.Dma;

    /// <inheritdoc/>
    public TimeProvider Time => TimeProvider.System;

    /// <inheritdoc/>
    public PciAperture IoAperture => Io;

    /// <inheritdoc/>
    public PciAperture MemoryAperture => Memory;

    /// <inheritdoc/>
    public uint ReadConfiguration(PciAddress address, int offset, int width) => Mechanism == PciConfigurationMechanism.Memory
        ? (uint)_machine.Qtest.Read(ExpressAddress(address, offset), width)
        : ReadByPorts(address, offset, width);

    /// <inheritdoc/>
    public void WriteConfiguration(PciAddress address, int offset, int width, uint value)
    {
        if (Mechanism == PciConfigurationMechanism.Memory)
            _machine.Qtest.Write(ExpressAddress(address, offset), width, value);
        else
            WriteByPorts(address, offset, width, value);
    }

    /// <inheritdoc/>
    public IRegisterWindow OpenIo(ulong address, ulong length) => address < 0x1_0000 && length <= 0x1_0000 - address
        ? new QtestIoWindow(_machine.Qtest, (ushort)address, length)
        : throw new ArgumentOutOfRangeException(nameof(address), address, $"{length} ports from there are not within 64 Ki");

    /// <inheritdoc/>
    public IRegisterWindow OpenMemory(ulong address, ulong length) => new QtestMemoryWindow(_machine.Qtest, address, length);

    /// <inheritdoc/>
    public IPciInterrupts OpenInterrupts(PciAddress address) => new QtestPciInterrupts(_machine, LineOf(address));

    /// <summary>The machine goes on; it is its owner's to dispose.</summary>
    public void Dispose() => _machine.Qtest.Flush();

    internal uint ReadByPorts(PciAddress address, int offset, int width)
    {
        SelectByPort(address, offset);
        return _machine.Qtest.In((ushort)(DataPort + (offset & 3)), width);
    }

    internal void WriteByPorts(PciAddress address, int offset, int width, uint value)
    {
        SelectByPort(address, offset);
        _machine.Qtest.Out((ushort)(DataPort + (offset & 3)), width, value);
    }

    private static uint Location(PciAddress address) => (uint)(address.Bus << 8 | address.Device << 3 | address.Function);

    private static ulong ExpressAddress(PciAddress address, int offset) => ExpressStart + (Location(address) << 12) + (uint)offset;

    private void SelectByPort(PciAddress address, int offset) =>
        _machine.Qtest.Out(AddressPort, 4, 0x8000_0000 | Location(address) << 8 | (uint)offset & 0xFC);

    // Behind a bridge the pin would have to be followed upstream; functions there have MSI-X.
    private int? LineOf(PciAddress address)
    {
        int pin = (int)ReadConfiguration(address, PciConfigurationRegister.InterruptPin, 1);
        if (address.Bus != 0 || pin is < 1 or > 4)
            return null;
        return _machine.Type == QtestMachineType.Q35 ? Q35.LineOf(address.Device, pin) : Piix3.LineOf(address.Device, pin);
    }
}

using BenchmarkDotNet.Attributes;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;

namespace VirtioSharp.Bench;

/// <summary>What one access to a register of a function in this process costs: through the bus, the BAR, and the personality. At most 50 ns.</summary>
[MemoryDiagnoser]
public class RegisterBenchmarks
{
    private static readonly PciAddress Address = new(0, 4);

    private SoftwarePciHost _host = null!;
    private VirtioPciFunction _function = null!;
    private IPciInterrupts _interrupts = null!;
    private IRegisterWindow _modern = null!, _legacy = null!, _msix = null!;
    private int _rings;

    [GlobalSetup]
    public void SetUp()
    {
        _host = NewHost();
        _function = new VirtioPciFunction(new RngDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional });
        _function.SetDoorbell(0, () => _rings++);
        _host.Plug(Address, _function);
        _interrupts = _host.OpenInterrupts(Address);
        _legacy = Place(0, (uint)_host.IoAperture.Start, 32, isIo: true);
        _msix = Place(1, (uint)_host.MemoryAperture.Start, 0x1000);
        _modern = Place(4, (uint)_host.MemoryAperture.Start + 0x4000, 0x4000);
        _host.WriteConfiguration(Address, PciConfigurationRegister.Command, 2, (uint)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster));
        int capability = (int)_host.ReadConfiguration(Address, PciConfigurationRegister.CapabilityPointer, 1); // MSI-X is the first
        _host.WriteConfiguration(Address, capability + MsixLayout.ControlOffset, 2, MsixLayout.Enable);
        _msix.Write(MsixLayout.EntryAddress, 4, (uint)_interrupts.MessageFor(0).Address);
        _msix.Write(MsixLayout.EntryData, 4, _interrupts.MessageFor(0).Data);
        _msix.Write(MsixLayout.EntryControl, 4, 0);
    }

    [Benchmark(Description = "modern: read device_status")]
    public uint ReadStatus() => _modern.Read(CommonConfigurationRegister.DeviceStatus, 1);

    [Benchmark(Description = "modern: write queue_select")]
    public void WriteSelect() => _modern.Write(CommonConfigurationRegister.QueueSelect, 2, 0);

    [Benchmark(Description = "modern: read queue_size")]
    public uint ReadSize() => _modern.Read(CommonConfigurationRegister.QueueSize, 2);

    [Benchmark(Description = "modern: read ISR status")]
    public uint ReadIsr() => _modern.Read(0x1000, 1);

    [Benchmark(Description = "modern: notify, with a doorbell")]
    public void Ring() => _modern.Write(0x3000, 2, 0);

    [Benchmark(Description = "legacy: read device status")]
    public uint ReadLegacyStatus() => _legacy.Read(LegacyPciRegister.DeviceStatus, 1);

    [Benchmark(Description = "legacy: notify, with a doorbell")]
    public void RingLegacy() => _legacy.Write(LegacyPciRegister.QueueNotify, 2, 0);

    [Benchmark(Description = "MSI-X: read an entry's control")]
    public uint ReadControl() => _msix.Read(MsixLayout.EntryControl, 4);

    [Benchmark(Description = "MSI-X: raise a vector and take its message")]
    public bool Raise()
    {
        _function.Msix!.Raise(0);
        return _interrupts.TakeMessage(0);
    }

    [Benchmark(Description = "configuration space: read the status register")]
    public uint ReadConfiguration() => _host.ReadConfiguration(Address, PciConfigurationRegister.Status, 2);

    [GlobalCleanup]
    public void CleanUp() => _host.Dispose();

    private static SoftwarePciHost NewHost() => new();

    private IRegisterWindow Place(int bar, uint address, ulong length, bool isIo = false)
    {
        _host.WriteConfiguration(Address, PciConfigurationRegister.Bar(bar), 4, address);
        return isIo ? _host.OpenIo(address, length) : _host.OpenMemory(address, length);
    }
}

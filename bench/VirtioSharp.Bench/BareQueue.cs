using System.Runtime.InteropServices;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Bench;

/// <summary>
/// The least that makes QEMU's entropy device work: a descriptor that never changes, then for each request an available
/// index, one command that writes the doorbell, and a look at the used index. Our driver's rings and transport only set it up.
/// </summary>
internal sealed class BareQueue : IDisposable
{
    private const int DoorbellBar = 4;
    private const ulong Doorbell = 0x3000; // where QEMU 7.2 has queue 0's in that BAR
    private const ushort NoInterrupt = 1;
    private const int IndexAt = 2; // in the driver area and in the device area, behind the flags

    private readonly VirtioPciTransport _transport;
    private readonly DriverSession _session;
    private readonly ulong _doorbell;
    private readonly QtestMachine _machine;
    private readonly QueueLayout _layout;
    private ushort _index;

    public BareQueue(QtestMachine machine, IPciFunction function)
    {
        _machine = machine;
        _doorbell = ((ulong)function.ReadConfiguration(0x10 + 4 * DoorbellBar + 4, 4) << 32)
            + (function.ReadConfiguration(0x10 + 4 * DoorbellBar, 4) & ~0xFu) + Doorbell;
        _transport = PciDrivers.Open(function);
        _session = DriverSession.Open(_transport, DeviceId.Entropy, withheld: Features.EventIdx);
        _layout = _session.EnableQueue(0).Layout;
        _session.Start();

        DmaBuffer buffer = _transport.Dma.Allocate(64);
        MemoryMarshal.Write(
            At(_layout.DescriptorArea, 0, Descriptor.Size),
            new Descriptor(buffer.Address.Value, (uint)buffer.Length, DescriptorFlags.Write, 0));
        At(_layout.DriverArea, 0, 4 + 2 * _layout.Size).Clear(); // every entry is descriptor 0
        MemoryMarshal.Write(At(_layout.DriverArea, 0, 2), NoInterrupt);
    }

    public void Request()
    {
        _index++;
        Volatile.Write(ref Index(_layout.DriverArea), _index);
        _machine.Qtest.Write(_doorbell, 2, 0);
        while (Volatile.Read(ref Index(_layout.DeviceArea)) != _index)
            Thread.Yield();
    }

    public void Dispose()
    {
        _session.Dispose();
        _transport.Dispose();
    }

    private ref ushort Index(GuestAddress area) => ref MemoryMarshal.AsRef<ushort>(At(area, IndexAt, 2));

    private Span<byte> At(GuestAddress area, int offset, int length) => _machine.Memory(new GuestAddress(area.Value + (ulong)offset), length);
}

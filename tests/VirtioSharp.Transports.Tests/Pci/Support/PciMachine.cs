using VirtioSharp.Core.Device;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;

namespace VirtioSharp.Transports.Tests.Pci.Support;

/// <summary>A host with one virtio function at 00:04.0, its BARs placed and enabled by hand, as firmware would.</summary>
internal sealed class PciMachine : IDisposable
{
    public static readonly PciAddress Address = new(0, 4);

    private readonly IRegisterWindow?[] _bars = new IRegisterWindow?[6];

    public PciMachine(VirtioDevice device, VirtioPciOptions? options = null, bool placed = true)
    {
        Function = new VirtioPciFunction(device, options);
        Host.Plug(Address, Function);
        Interrupts = Host.OpenInterrupts(Address);
        if (placed)
            Place();
    }

    public SoftwarePciHost Host { get; } = new();

    public VirtioPciFunction Function { get; }

    public IPciInterrupts Interrupts { get; }

    public PciCommand Command
    {
        get => (PciCommand)Read(PciConfigurationRegister.Command, 2);
        set => Write(PciConfigurationRegister.Command, 2, (uint)value);
    }

    public uint Read(int offset, int width) => Host.ReadConfiguration(Address, offset, width);

    public void Write(int offset, int width, uint value) => Host.WriteConfiguration(Address, offset, width, value);

    public IRegisterWindow Bar(int bar) => _bars[bar] ?? throw new InvalidOperationException($"no BAR {bar}");

    /// <summary>Where the capability is that <paramref name="found"/> accepts; 0 when there is none.</summary>
    public int FindCapability(Func<int, bool> found)
    {
        for (uint at = Read(PciConfigurationRegister.CapabilityPointer, 1); at != 0; at = Read((int)at + 1, 1))
        {
            if (found((int)at))
                return (int)at;
        }

        return 0;
    }

    public int FindCapability(PciCapabilityId id) => FindCapability(at => Read(at, 1) == (uint)id);

    public int FindCapability(VirtioPciCapabilityType type) =>
        FindCapability(at => Read(at, 1) == (uint)PciCapabilityId.Vendor && Read(at + VirtioPciCapabilityLayout.Type, 1) == (uint)type);

    /// <summary>What the BAR's register reads after all ones were written to it.</summary>
    public uint SizeOf(int bar)
    {
        int register = PciConfigurationRegister.Bar(bar);
        uint before = Read(register, 4);
        Write(register, 4, 0xFFFF_FFFF);
        uint mask = Read(register, 4);
        Write(register, 4, before);
        return mask;
    }

    /// <summary>Programs vector <paramref name="vector"/> to send the host's message of that number, and unmasks it.</summary>
    public void Program(int vector)
    {
        PciMessage message = Interrupts.MessageFor(vector);
        Bar(1).Write((ulong)(16 * vector), 4, (uint)message.Address);
        Bar(1).Write((ulong)(16 * vector + 4), 4, (uint)(message.Address >> 32));
        Bar(1).Write((ulong)(16 * vector + 8), 4, message.Data);
        Bar(1).Write((ulong)(16 * vector + 12), 4, 0);
    }

    public void SetMsix(ushort control) => Write(FindCapability(PciCapabilityId.MsiX) + MsixLayout.ControlOffset, 2, control);

    /// <summary>Programs every vector and enables MSI-X.</summary>
    public void UseMsix()
    {
        SetMsix(MsixLayout.Enable);
        for (int vector = 0; vector < Function.Msix!.Count; vector++)
            Program(vector);
    }

    public void Dispose() => Host.Dispose();

    private void Place()
    {
        (ulong io, ulong memory) = (Host.IoAperture.Start, Host.MemoryAperture.Start);
        for (int bar = 0; bar < 6; bar++)
        {
            uint mask = SizeOf(bar);
            if (mask == 0)
                continue;
            bool isIo = (mask & 1) != 0;
            ref ulong next = ref (isIo ? ref io : ref memory);
            ulong length = ~(mask & ~(isIo ? 3u : 15u)) + 1u;
            next = (next + length - 1) & ~(length - 1);
            Write(PciConfigurationRegister.Bar(bar), 4, (uint)next);
            _bars[bar] = isIo ? Host.OpenIo(next, length) : Host.OpenMemory(next, length);
            next += length;
            if ((mask & 7) == 4)
                Write(PciConfigurationRegister.Bar(++bar), 4, 0);
        }

        Command = PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster;
    }
}

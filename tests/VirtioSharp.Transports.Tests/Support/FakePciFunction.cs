using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;
using Xunit;

namespace VirtioSharp.Transports.Tests.Support;

/// <summary>A function whose configuration space is 256 bytes that a test writes as it likes; the driver changes only what a script allows.</summary>
internal sealed class FakePciFunction : IPciFunction
{
    private int _lastCapability;
    private int _freeCapability = 0x40;

    public FakePciFunction(ushort vendor = VirtioPci.VendorId, ushort device = 0x1044, ushort subsystem = 4, byte revision = 1)
    {
        Set(PciConfigurationRegister.VendorId, 2, vendor);
        Set(PciConfigurationRegister.DeviceId, 2, device);
        Set(PciConfigurationRegister.SubsystemVendorId, 2, vendor);
        Set(PciConfigurationRegister.SubsystemId, 2, subsystem);
        Set(PciConfigurationRegister.Revision, 1, revision);
        Set(PciConfigurationRegister.InterruptPin, 1, 1);
    }

    public byte[] Configuration { get; } = new byte[256];

    /// <summary>Which bits of configuration space the driver can change.</summary>
    public byte[] Writable { get; } = [.. Enumerable.Range(0, 256).Select(i => (byte)(i is 4 or 5 ? 0xFF : 0))];

    public FakeWindow?[] Bars { get; } = new FakeWindow?[6];

    public FakeInterrupts Wires { get; } = new();

    /// <summary>Gone: all reads give ones.</summary>
    public bool IsUnplugged { get; set; }

    public bool IsDisposed { get; private set; }

    /// <summary>What the driver wrote, in order, to configuration space and to the BARs.</summary>
    public List<string> Writes { get; } = [];

    /// <summary>Sees every configuration access first; not null is the answer.</summary>
    public Func<int, int, uint?> OnConfigurationRead { get; set; } = (_, _) => null;

    public Action<int, int, uint> OnConfigurationWrite { get; set; } = (_, _, _) => { };

    public int ConfigurationReads { get; private set; }

    public string Name => "fake";

    public DmaArena Dma { get; } = DmaArena.CreateLocal(new GuestAddress(0x10_0000), 1 << 20);

    public TimeProvider Time => TimeProvider.System;

    public IPciInterrupts Interrupts => Wires;

    public PciCommand Command => (PciCommand)Get(PciConfigurationRegister.Command, 2);

    public uint Get(int offset, int width) => Bytes.Get(Configuration.AsSpan(offset), width);

    public void Set(int offset, int width, uint value) => Bytes.Set(Configuration.AsSpan(offset), width, value);

    /// <summary>Gives it registers that take part in sizing.</summary>
    public FakeWindow AddBar(int bar, ulong length, bool io = false, bool wide = false)
    {
        var window = new FakeWindow(length, this, $"BAR{bar}");
        Bars[bar] = window;
        int register = PciConfigurationRegister.Bar(bar);
        Set(register, 4, io ? 1u : wide ? 4u : 0);
        ulong mask = ~(length - 1);
        for (int i = 0; i < (wide ? 8 : 4); i++)
            Writable[register + i] = (byte)(mask >> (8 * i));
        if (!wide)
            Writable[register] &= 0xF0;
        return window;
    }

    /// <summary>Appends a capability; its first two bytes are filled in.</summary>
    /// <returns>Where it is.</returns>
    public int AddCapability(PciCapabilityId id, params byte[] body)
    {
        int position = _freeCapability;
        _freeCapability += (body.Length + 2 + 3) & ~3;
        Set(PciConfigurationRegister.Status, 2, (uint)PciStatus.CapabilityList);
        Configuration[_lastCapability == 0 ? PciConfigurationRegister.CapabilityPointer : _lastCapability + 1] = (byte)position;
        Configuration[position] = (byte)id;
        body.CopyTo(Configuration.AsSpan(position + 2));
        _lastCapability = position;
        return position;
    }

    /// <summary>A virtio capability (§4.1.4).</summary>
    public int AddVirtioCapability(VirtioPciCapabilityType type, int bar, uint offset, uint length, byte id = 0, params byte[] more)
    {
        byte[] body = new byte[14 + more.Length];
        (body[0], body[1], body[2], body[3]) = ((byte)(16 + more.Length), (byte)type, (byte)bar, id);
        Bytes.Set(body.AsSpan(6), 4, offset);
        Bytes.Set(body.AsSpan(10), 4, length);
        more.CopyTo(body, 14);
        return AddCapability(PciCapabilityId.Vendor, body);
    }

    public uint ReadConfiguration(int offset, int width)
    {
        ConfigurationReads++;
        Assert.True(offset % width == 0 && offset + width <= 256);
        return IsUnplugged ? uint.MaxValue >> (32 - 8 * width) : OnConfigurationRead(offset, width) ?? Get(offset, width);
    }

    public void WriteConfiguration(int offset, int width, uint value)
    {
        Assert.True(offset % width == 0 && offset + width <= 256);
        if (IsUnplugged)
            return;
        Writes.Add($"config {offset:x2}/{width} = {(width == 4 ? value : value & ((1u << (8 * width)) - 1)):x}");
        for (int i = 0; i < width; i++)
        {
            byte mask = Writable[offset + i];
            Configuration[offset + i] = (byte)(Configuration[offset + i] & ~mask | (int)(value >> (8 * i)) & mask);
        }

        OnConfigurationWrite(offset, width, value);
    }

    public IRegisterWindow? OpenBar(int bar) => Bars[bar];

    public void Dispose()
    {
        Writes.Add("dispose");
        IsDisposed = true;
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using Xunit;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A driver that keeps the rules up to DRIVER_OK, and then puts into its ring whatever a test wants.</summary>
internal sealed class HostileDriver : IDisposable
{
    /// <summary>Four gigabytes of guest memory behind which there is nothing: for chains that no device may touch.</summary>
    public const ulong Unbacked = 0x10_0000_0000;

    private readonly FeatureSet _withheld;
    private readonly int _size;

    public HostileDriver(FeatureSet withheld = default, int size = 8, int arenaBytes = 1 << 20)
    {
        (_withheld, _size) = (withheld, size);
        Arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), arenaBytes);
        Host = new DeviceHost(Device, Line, Line, new DeviceHostOptions { Observer = Observer, RingFeatures = Features.Version1 | Features.IndirectDesc | Features.EventIdx });
        Host.SetMemory(MemoryMap.Create([Arena.Region, new MemoryRegion(new GuestAddress(Unbacked), 1UL << 32, Arena.Region.Host)]));
        Good = Arena.Allocate(64);
        Ring = Start();
    }

    public ScriptedDevice Device { get; } = new();

    public RecordingObserver Observer { get; } = new();

    public RecordingLine Line { get; } = new();

    public DmaArena Arena { get; }

    public DeviceHost Host { get; }

    /// <summary>A buffer that is in order.</summary>
    public DmaBuffer Good { get; }

    public RawRing Ring { get; private set; }

    /// <summary>The last byte of the arena is the one before this address.</summary>
    public ulong ArenaEnd => Arena.Region.Start.Value + Arena.Region.Length;

    /// <summary>Resets the device and sets it up with a new ring.</summary>
    public RawRing Start()
    {
        Negotiate();
        Ring = new RawRing(Arena, _size);
        Host.EnableQueue(0, Ring.Layout);
        Host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        return Ring;
    }

    /// <summary>Resets the device and goes as far as FEATURES_OK.</summary>
    public void Negotiate()
    {
        Host.WriteStatus(DeviceStatus.Reset);
        Host.WriteStatus(DeviceStatus.Acknowledge);
        Host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        Host.WriteDriverFeatures(Host.DeviceFeatures - _withheld);
        Host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    }

    /// <summary>Puts descriptors for an indirect table into memory.</summary>
    public DmaBuffer Table(params ReadOnlySpan<Descriptor> entries)
    {
        DmaBuffer table = Arena.Allocate(Descriptor.Size * entries.Length);
        MemoryMarshal.AsBytes(entries).CopyTo(table.Span);
        return table;
    }

    public void Offer(ushort head) => Ring.Offer(head);

    public void Kick()
    {
        while (Host.Notify(0))
        {
        }
    }

    /// <summary>Offers the chain at <paramref name="head"/> and returns what the device answered.</summary>
    public UsedElement Send(ushort head)
    {
        ushort before = Ring.UsedIndex;
        Ring.Offer(head);
        Kick();
        Assert.Equal((ushort)(before + 1), Ring.UsedIndex);
        Assert.Equal(head, Ring.Used(before).Id);
        return Ring.Used(before);
    }

    /// <summary>The chain at descriptor 0 is completed with length 0 for this reason and never reaches the device; the next one is served.</summary>
    public void AssertAnsweredWithNothing(ChainFaultKind kind, ulong value)
    {
        int seen = Device.Chains;
        Assert.Equal(0u, Send(0).Length);
        Assert.Equal(seen, Device.Chains);
        Assert.Equal(new ChainFault(kind, value), Assert.Single(Observer.Faults));
        Assert.Contains(value.ToString(kind == ChainFaultKind.AddressUnmapped ? "x" : "d", null), Observer.Faults[0].ToString(), StringComparison.Ordinal);
        AssertServes();
    }

    /// <summary>The device said NEEDS_RESET and why, told the driver, and stays quiet; a reset makes it serve again.</summary>
    public void AssertStoppedUntilReset(string reason)
    {
        Assert.Equal(DeviceStatus.NeedsReset, Host.Status & DeviceStatus.NeedsReset);
        Assert.Equal(1, Line.ConfigurationChanges);
        Assert.Equal(reason, Assert.Single(Observer.Resets).Message);
        ushort used = Ring.UsedIndex;
        Assert.False(Host.Notify(0));
        Assert.Equal(used, Ring.UsedIndex);
        Device.Answer = null;
        Start();
        AssertServes();
    }

    /// <summary>The device serves a request that is in order.</summary>
    public void AssertServes()
    {
        Device.Answer = null;
        Good.Span.Clear();
        Ring[0] = new Descriptor(Good.Address.Value, 16, DescriptorFlags.Next, 1);
        Ring[1] = new Descriptor(Good.Address.Value + 16, 48, DescriptorFlags.Write, 0);
        int seen = Device.Chains;
        Assert.Equal(48u, Send(0).Length);
        Assert.Equal(seen + 1, Device.Chains);
        Assert.Equal(16, Device.Read.Count);
        Assert.Equal(Enumerable.Repeat(ScriptedDevice.Filling, 48), Good.Span[16..].ToArray());
    }

    public void Dispose() => Arena.Dispose();
}

using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;
using Xunit;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A driver that keeps the rules up to DRIVER_OK, and then puts into its ring whatever a test wants.</summary>
internal sealed class HostileDriver : IDisposable
{
    /// <summary>Four gigabytes of guest memory behind which there is nothing: for chains that no device may touch.</summary>
    public const ulong Unbacked = 0x10_0000_0000;

    private readonly FeatureSet _withheld;
    private readonly FeatureSet _offered;
    private readonly int _size;

    public HostileDriver(FeatureSet withheld = default, int size = 8, int arenaBytes = 1 << 20, FeatureSet more = default)
    {
        (_withheld, _size) = (withheld, size);
        _offered = Features.Version1 | Features.IndirectDesc | Features.EventIdx | more;
        IsPacked = more.Has(Features.RingPacked);
        Arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), arenaBytes);
        Host = new DeviceHost(Device, Line, Line, new DeviceHostOptions { Observer = Observer, RingFeatures = _offered });
        Host.SetMemory(MemoryMap.Create([Arena.Region, new MemoryRegion(new GuestAddress(Unbacked), 1UL << 32, Arena.Region.Host)]));
        Good = Arena.Allocate(64);
        Start();
    }

    /// <summary>Which of the two rings it uses.</summary>
    public bool IsPacked { get; }

    public ScriptedDevice Device { get; } = new();

    public RecordingObserver Observer { get; } = new();

    public RecordingLine Line { get; } = new();

    public DmaArena Arena { get; }

    public DeviceHost Host { get; }

    /// <summary>A buffer that is in order.</summary>
    public DmaBuffer Good { get; }

    public RawRing Ring { get; private set; } = null!;

    public RawPackedRing PackedRing { get; private set; } = null!;

    public QueueLayout Layout => IsPacked ? PackedRing.Layout : Ring.Layout;

    /// <summary>A new ring that nobody uses yet.</summary>
    public QueueLayout AnotherLayout() => IsPacked ? new RawPackedRing(Arena, _size).Layout : new RawRing(Arena, _size).Layout;

    /// <summary>What the device has used since this was asked last.</summary>
    public IReadOnlyList<UsedElement> TakeUsed()
    {
        var all = new List<UsedElement>();
        while (IsPacked ? PackedRing.TryTakeUsed(out UsedElement used) : Ring.TryTakeUsed(out used))
            all.Add(used);
        return all;
    }

    /// <summary>The last byte of the arena is the one before this address.</summary>
    public ulong ArenaEnd => Arena.Region.Start.Value + Arena.Region.Length;

    /// <summary>Resets the device and sets it up with a new ring.</summary>
    public RawRing Start()
    {
        Negotiate();
        if (IsPacked)
            PackedRing = new RawPackedRing(Arena, _size);
        else
            Ring = new RawRing(Arena, _size);
        Host.EnableQueue(0, Layout);
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

    /// <summary>Puts a table in the format of the ring into memory.</summary>
    public DmaBuffer TableOf(params ReadOnlySpan<Entry> entries)
    {
        DmaBuffer table = Arena.Allocate(Descriptor.Size * entries.Length);
        for (int i = 0; i < entries.Length; i++)
        {
            (ulong address, uint length, DescriptorFlags flags) = entries[i];
            Span<byte> at = table.Span[(i * Descriptor.Size)..];
            if (IsPacked)
                MemoryMarshal.Write(at, new PackedDescriptor(address, length, 0, flags));
            else
                MemoryMarshal.Write(at, new Descriptor(address, length, i + 1 < entries.Length ? flags | DescriptorFlags.Next : flags, (ushort)(i + 1)));
        }

        return table;
    }

    public void Offer(ushort head) => Ring.Offer(head);

    /// <summary>Makes a chain available, whose name is <paramref name="id"/>.</summary>
    public void Offer(ushort id, params ReadOnlySpan<Entry> chain)
    {
        if (IsPacked)
            PackedRing.Offer(id, chain);
        else
            Ring.Offer(id, chain);
    }

    /// <summary>Makes a chain available and returns what the device answered.</summary>
    public UsedElement Send(params ReadOnlySpan<Entry> chain)
    {
        TakeUsed();
        Offer(0, chain);
        Kick();
        UsedElement used = Assert.Single(TakeUsed());
        Assert.Equal(0u, used.Id);
        return used;
    }

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

    /// <summary>This chain is completed with length 0 for this reason and never reaches the device; the next one is served.</summary>
    public void AssertAnsweredWithNothing(ChainFaultKind kind, ulong value, params ReadOnlySpan<Entry> chain)
    {
        int seen = Device.Chains;
        Assert.Equal(0u, Send(chain).Length);
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
        TakeUsed();
        Assert.False(Host.Notify(0));
        Assert.Empty(TakeUsed());
        Device.Answer = null;
        Start();
        AssertServes();
    }

    /// <summary>The device serves a request that is in order.</summary>
    public void AssertServes()
    {
        Device.Answer = null;
        Good.Span.Clear();
        int seen = Device.Chains;
        Assert.Equal(48u, Send(new Entry(Good.Address.Value, 16), new Entry(Good.Address.Value + 16, 48, DescriptorFlags.Write)).Length);
        Assert.Equal(seen + 1, Device.Chains);
        Assert.Equal(16, Device.Read.Count);
        Assert.Equal(Enumerable.Repeat(ScriptedDevice.Filling, 48), Good.Span[16..].ToArray());
    }

    public void Dispose() => Arena.Dispose();
}

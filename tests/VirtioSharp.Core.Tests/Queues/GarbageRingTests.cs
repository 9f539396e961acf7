using System.Runtime.InteropServices;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Rings of garbage for a device that serves, rejects and holds at random.</summary>
[Proves("Hostile driver", "in process")]
public sealed class GarbageRingTests
{
    private const int Rings = 10_000;

    /// <summary>More turns than a ring of 2^16 entries could keep a device busy for.</summary>
    private const int MostTurns = 300;

    private readonly Random _random;
    private readonly int _seed = Environment.TickCount;
    private readonly List<PendingChain> _held = [];

    public GarbageRingTests() => _random = new Random(_seed);

    [Fact]
    [Proves("Split ring", "in process")]
    public void Ten_thousand_split_rings_of_garbage_leave_a_device_that_serves_or_asks_for_a_reset() => Run(Features.None);

    [Fact]
    [Proves("Packed ring", "in process")]
    public void Ten_thousand_packed_rings_of_garbage_leave_a_device_that_serves_or_asks_for_a_reset() => Run(Features.RingPacked);

    private void Run(FeatureSet format)
    {
        int stopped = 0, faults = 0, served = 0, held = 0;

        for (int i = 0; i < Rings; i += 100)
        {
            FeatureSet more = _random.Next(2) == 0 ? format : format | Features.InOrder;
            int size = more.Has(Features.RingPacked) ? _random.Next(1, 17) : 1 << _random.Next(5);
            using var driver = new HostileDriver(_random.Next(2) == 0 ? Features.IndirectDesc : Features.EventIdx, size, more: more);
            driver.Device.Stopping = CompleteSome;
            for (int j = 0; j < 100; j++)
            {
                stopped += Throw(driver, $"seed {_seed}, ring {i + j}") ? 1 : 0;
                held += _held.Count;
                _held.Clear();
            }

            faults += driver.Observer.Faults.Count;
            served += driver.Device.Chains;
        }

        Assert.True(
            stopped > Rings / 20 && faults > Rings / 20 && served > Rings / 20 && held > Rings / 20,
            $"seed {_seed}: {stopped} stopped, {faults} faults, {served} served, {held} held: the garbage is too dull");
    }

    /// <summary>Fills the ring, kicks, and sees that the device is in order afterwards. True when it stopped.</summary>
    private bool Throw(HostileDriver driver, string where)
    {
        driver.Device.Answer = AnswerSomehow;
        QueueSnapshot at = driver.Host.DisableQueue(0);
        if (driver.IsPacked)
            FillPacked(driver, at);
        else
            FillSplit(driver, at.NextAvailable);
        driver.Host.EnableQueue(0, driver.Layout, at);

        int turns = 1;
        for (bool more = driver.Host.Notify(0); more; more = driver.Host.Service(0))
            Assert.True(++turns < MostTurns, $"{where}: the device does not come to an end");
        CompleteSome();
        driver.Host.Flush();

        bool stopped = (driver.Host.Status & DeviceStatus.NeedsReset) != 0;
        if (stopped)
        {
            driver.Negotiate();
            driver.Host.EnableQueue(0, driver.Layout);
            driver.Host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        }

        AssertServes(driver, where);
        return stopped;
    }

    private static void AssertServes(HostileDriver driver, string where)
    {
        driver.Device.Answer = WriteSparingly;
        QueueSnapshot at = driver.Host.DisableQueue(0); // before the count: it may be that chains come back here
        int seen = driver.Device.Chains;
        var good = new Entry(driver.Good.Address.Value, 16, DescriptorFlags.Write);
        uint length;
        if (driver.IsPacked)
        {
            driver.PackedRing.DescriptorBytes.Clear();
            Neutralize(driver.PackedRing, at);
            driver.PackedRing.GoTo(at);
            driver.PackedRing.Offer(0, good);
            driver.Host.EnableQueue(0, driver.Layout, at);
            driver.Host.Notify(0);
            length = driver.PackedRing[at.NextUsed].Length;
        }
        else
        {
            driver.Ring.AvailableIndex = at.NextAvailable;
            driver.Ring.Offer(0, good);
            driver.Host.EnableQueue(0, driver.Layout, at);
            ushort used = driver.Ring.UsedIndex;
            driver.Host.Notify(0);
            length = driver.Ring.Used(used).Length;
        }

        Assert.True(driver.Device.Chains == seen + 1, $"{where}: the device is {driver.Host.Status} and does not serve");
        Assert.True(length == 16, $"{where}: the request in order got {length} bytes");
    }

    /// <summary>Makes nothing available.</summary>
    private static void Neutralize(RawPackedRing ring, QueueSnapshot at)
    {
        for (int i = 0; i < ring.Layout.Size; i++)
            ring[i] = new PackedDescriptor(0, 0, 0, PackedLayout.UsedFlags(at.AvailableTurn));
    }

    private void AnswerSomehow(ScriptedDevice device, scoped ref DeviceChain chain)
    {
        WriteSparingly(device, ref chain);
        if (_random.Next(4) == 0)
            _held.Add(chain.Hold());
    }

    private void CompleteSome()
    {
        foreach (PendingChain held in _held.ToArray())
        {
            if (!held.IsPending || _random.Next(2) == 0)
                continue;
            DeviceChain chain = held.Open();
            WriteSparingly(null!, ref chain);
            held.Complete(chain.Written);
        }
    }

    private static void WriteSparingly(ScriptedDevice device, scoped ref DeviceChain chain)
    {
        while (chain.TryNextReadable(out _))
        {
        }

        if (!chain.TryNextWritable(out Span<byte> room))
            return;
        room = room[..Math.Min(room.Length, 16)];
        room.Fill(ScriptedDevice.Filling);
        chain.Advance(room.Length);
    }

    /// <summary>Now and then everything is random; otherwise most fields are nearly right, which goes deeper.</summary>
    private void FillSplit(HostileDriver driver, ushort next)
    {
        RawRing ring = driver.Ring;
        int size = ring.Layout.Size;
        _random.NextBytes(ring.DescriptorBytes);
        _random.NextBytes(ring.DriverBytes);
        if (_random.Next(4) == 0)
            return;

        FillTable(driver);
        for (int i = 0; i < size; i++)
            ring[i] = AlmostRight(driver, size);
        for (int i = 0; i < size; i++)
            ring.Offer((ushort)_random.Next(size + (_random.Next(16) == 0 ? 1 : 0)));
        ring.AvailableIndex = (ushort)(next + _random.Next(size + 1));
    }

    private void FillPacked(HostileDriver driver, QueueSnapshot at)
    {
        RawPackedRing ring = driver.PackedRing;
        _random.NextBytes(ring.DescriptorBytes);
        _random.NextBytes(ring.DriverBytes);
        if (_random.Next(8) == 0)
            return;

        FillTable(driver);
        Neutralize(ring, at);
        ring.GoTo(at);
        for (int left = _random.Next(ring.Layout.Size + 2); left > 0; left--)
        {
            Descriptor entry = AlmostRight(driver, ring.Layout.Size);
            DescriptorFlags flags = entry.Flags;
            if (_random.Next(2) == 0)
                flags &= ~DescriptorFlags.Next;
            if (_random.Next(32) == 0)
                flags ^= DescriptorFlags.Used;
            int id = left % ring.Layout.Size; // mostly in order of appearance, now and then one twice or too large
            if (_random.Next(16) == 0)
                id = _random.Next(ring.Layout.Size + 1);
            ring.Put((ushort)id, new Entry(entry.Address, entry.Length, flags), DescriptorFlags.None);
        }
    }

    /// <summary>Something that may be taken for an indirect table, in the good buffer.</summary>
    private void FillTable(HostileDriver driver)
    {
        Span<Descriptor> table = stackalloc Descriptor[_random.Next(1, 5)];
        for (int i = 0; i < table.Length; i++)
            table[i] = AlmostRight(driver, table.Length);
        MemoryMarshal.AsBytes(table).CopyTo(driver.Good.Span);
    }

    private Descriptor AlmostRight(HostileDriver driver, int entries)
    {
        ulong address = _random.Next(8) switch
        {
            0 => (ulong)_random.NextInt64(long.MinValue, long.MaxValue),
            1 => driver.ArenaEnd - (ulong)_random.Next(64),
            2 => _random.Next(2) == 0 ? driver.Layout.DeviceArea.Value : driver.Layout.DescriptorArea.Value, // the device may be made to write over the ring itself
            _ => driver.Good.Address.Value,
        };
        uint length = _random.Next(6) switch
        {
            0 => (uint)_random.NextInt64(1L << 32),
            1 => 0,
            2 => (uint)_random.Next(64),
            _ => (uint)(16 * _random.Next(1, 5)),
        };
        var flags = (DescriptorFlags)_random.Next(8);
        return new Descriptor(address, length, flags, (ushort)_random.Next(entries + (_random.Next(16) == 0 ? 1 : 0)));
    }
}

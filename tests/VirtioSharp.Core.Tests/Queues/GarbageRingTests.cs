using System.Runtime.InteropServices;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

[Proves("Hostile driver", "in process")]
public sealed class GarbageRingTests
{
    private const int Rings = 10_000;

    /// <summary>More turns than a ring of 2^16 entries could keep a device busy for.</summary>
    private const int MostTurns = 300;

    [Fact]
    public void Ten_thousand_rings_of_garbage_leave_a_device_that_serves_or_asks_for_a_reset()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        int stopped = 0, faults = 0, served = 0;

        for (int i = 0; i < Rings; i += 100)
        {
            using var driver = new HostileDriver(random.Next(2) == 0 ? Features.IndirectDesc : Features.EventIdx, 1 << random.Next(5));
            for (int j = 0; j < 100; j++)
            {
                string where = $"seed {seed}, ring {i + j}";
                stopped += Throw(driver, random, where) ? 1 : 0;
            }

            faults += driver.Observer.Faults.Count;
            served += driver.Device.Chains;
        }

        Assert.True(stopped > Rings / 20 && faults > Rings / 20 && served > Rings / 20, $"seed {seed}: {stopped} stopped, {faults} faults, {served} served: the garbage is too dull");
    }

    /// <summary>Fills the ring, kicks, and sees that the device is in order afterwards. True when it stopped.</summary>
    private static bool Throw(HostileDriver driver, Random random, string where)
    {
        driver.Device.Answer = WriteSparingly;
        RawRing ring = driver.Ring;
        QueueSnapshot at = driver.Host.DisableQueue(0);
        Fill(driver, random, at.NextAvailable);
        driver.Host.EnableQueue(0, ring.Layout, at);

        int turns = 1;
        for (bool more = driver.Host.Notify(0); more; more = driver.Host.Service(0))
            Assert.True(++turns < MostTurns, $"{where}: the device does not come to an end");

        bool stopped = (driver.Host.Status & DeviceStatus.NeedsReset) != 0;
        if (stopped)
        {
            driver.Host.WriteStatus(DeviceStatus.Reset);
            driver.Negotiate();
            ring.DriverBytes.Clear();
            driver.Host.EnableQueue(0, ring.Layout);
            driver.Host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        }

        AssertServes(driver, where);
        return stopped;
    }

    private static void AssertServes(HostileDriver driver, string where)
    {
        int seen = driver.Device.Chains;
        driver.Device.Answer = WriteSparingly;
        driver.Ring.AvailableIndex = driver.Host.DisableQueue(0) is var at ? at.NextAvailable : default;
        driver.Host.EnableQueue(0, driver.Ring.Layout, at);
        driver.Ring[0] = new Descriptor(driver.Good.Address.Value, 16, DescriptorFlags.Write, 0);
        driver.Ring.Offer(0);
        ushort used = driver.Ring.UsedIndex;

        driver.Host.Notify(0);

        Assert.True(driver.Device.Chains == seen + 1, $"{where}: the device is {driver.Host.Status} and does not serve");
        Assert.True(driver.Ring.Used(used).Length == 16, $"{where}: the request in order got {driver.Ring.Used(used).Length} bytes");
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

    /// <summary>Half of the time everything is random; otherwise most fields are nearly right, which goes deeper.</summary>
    private static void Fill(HostileDriver driver, Random random, ushort next)
    {
        RawRing ring = driver.Ring;
        int size = ring.Layout.Size;
        random.NextBytes(ring.DescriptorBytes);
        random.NextBytes(ring.DriverBytes);
        if (random.Next(4) == 0)
            return;

        Span<Descriptor> table = stackalloc Descriptor[random.Next(1, 5)];
        for (int i = 0; i < table.Length; i++)
            table[i] = AlmostRight(driver, random, table.Length);
        MemoryMarshal.AsBytes(table).CopyTo(driver.Good.Span);
        for (int i = 0; i < size; i++)
            ring[i] = AlmostRight(driver, random, size);
        for (int i = 0; i < size; i++)
            ring.Offer((ushort)random.Next(size + (random.Next(16) == 0 ? 1 : 0)));
        ring.AvailableIndex = (ushort)(next + random.Next(size + 1));
    }

    private static Descriptor AlmostRight(HostileDriver driver, Random random, int entries)
    {
        ulong address = random.Next(8) switch
        {
            0 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
            1 => driver.ArenaEnd - (ulong)random.Next(64),
            2 => driver.Ring.Layout.DeviceArea.Value, // the device may be made to write over the ring itself
            _ => driver.Good.Address.Value,
        };
        uint length = random.Next(6) switch
        {
            0 => (uint)random.NextInt64(1L << 32),
            1 => 0,
            2 => (uint)random.Next(64),
            _ => (uint)(16 * random.Next(1, 5)),
        };
        var flags = (DescriptorFlags)random.Next(8);
        return new Descriptor(address, length, flags, (ushort)random.Next(entries + (random.Next(16) == 0 ? 1 : 0)));
    }
}

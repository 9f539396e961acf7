using System.Buffers.Binary;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.VhostUser.Protocol.FrontEndRequest;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>A disk's requests are in flight while memory comes and goes, and what a driver may write of its configuration.</summary>
public sealed class DiskMemoryTests : IDisposable
{
    private const int Sector = 512;

    private readonly SlowDisk _disk = new();
    private readonly ServedDevice _served;
    private readonly GuestRam _ram = new();
    private readonly GuestRam _dimm = new(guestAddress: 1UL << 32, userAddress: 0x7f13_0000_0000);
    private readonly GuestRing _ring;
    private readonly FrontEnd _frontEnd;

    public DiskMemoryTests()
    {
        _served = new ServedDevice(new BlockDevice(_disk));
        _ring = new GuestRing(_ram);
        _frontEnd = _served.Connect();
        _frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config);
    }

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _dimm.Dispose();
        _ram.Dispose();
    }

    [Fact]
    [Proves("CONFIGURE_MEM_SLOTS", "vhost-user")]
    public void A_region_goes_under_requests_in_flight_after_those_in_it_are_done_and_none_is_lost()
    {
        Start();
        _frontEnd.AddMemory(_dimm);
        for (int i = 0; i < 8; i++)
            Read(i, i % 2 == 0 ? _dimm.Start + (ulong)(i * Sector) : _ring.Buffer + 0x4000 + (ulong)(i * Sector));
        _ring.Kick.Signal();
        Assert.True(Patience.Until(() => _disk.Asked == 8));
        Assert.Equal(0, _ring.UsedIndex);

        _frontEnd.RemoveMemory(_dimm);

        Assert.True(_disk.Finishes > 0);
        _ring.WaitUsed(8);
        for (int i = 0; i < 8; i++)
        {
            Span<byte> read = i % 2 == 0 ? _dimm.Bytes((ulong)(i * Sector), Sector) : _ring.BufferBytes(0x4000 + i * Sector, Sector);
            Assert.False(read.ContainsAnyExcept((byte)1), $"request {i} was not done");
            Assert.Equal(0, Status(i));
        }

        _disk.IsQuick = true;
        Read(8, _dimm.Start); // it is gone
        Read(9, _ring.Buffer + 0x4000);
        _ring.Kick.Signal();
        _ring.WaitUsed(10);
        Assert.Equal((0u, 0), (_ring.UsedAt(8).Length, Status(9)));
        Assert.Equal(0xFF, Status(8));
    }

    [Fact]
    public async Task Regions_come_and_go_a_thousand_times_under_requests_that_take_their_time()
    {
        Start();
        using var stop = new CancellationTokenSource();
        ushort used = 0;
        int rounds = 0;
        Task driver = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                for (int i = 0; i < 16; i++)
                    Read(i, i % 2 == 0 ? _dimm.Start + (ulong)(i * Sector) : _ring.Buffer + 0x4000 + (ulong)(i * Sector));
                _ring.Kick.Signal();
                _ring.WaitUsed(used += 16); // what is stuck is done when memory changes
                for (int i = 1; i < 16; i += 2)
                    Assert.Equal(0, Status(i));
                Interlocked.Increment(ref rounds);
            }
        }, TestContext.Current.CancellationToken);

        for (int i = 0; (i < 1000 || Volatile.Read(ref rounds) < 20) && !driver.IsCompleted; i++)
        {
            _frontEnd.AddMemory(_dimm);
            _frontEnd.RemoveMemory(_dimm);
        }

        await stop.CancelAsync();
        while (!driver.IsCompleted)
        {
            _frontEnd.AddMemory(_dimm);
            _frontEnd.RemoveMemory(_dimm);
        }

        await driver;
    }

    [Fact]
    [Proves("CONFIG", "vhost-user")]
    public void What_is_not_the_driver_s_to_write_is_refused_unless_a_machine_migrates()
    {
        byte[] before = Configuration();
        byte[] capacity = [1, 0, 0, 0, 0, 0, 0, 0];

        Assert.Equal(1UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(0, 8, capacity)));
        Assert.Equal(1UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(30, 4, [9, 9, 0, 9]))); // writeback is among them
        Assert.Equal(1UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(32, 1, [2])));
        Assert.Equal(1UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(32, 1, [0], flags: 2)));
        Assert.Equal(1UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(250, 8, capacity, flags: 1)));
        Assert.Equal(0UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(0, 8, capacity, flags: 1)));
        Assert.Equal(before, Configuration());

        Assert.Equal(0UL, _frontEnd.Acknowledged(SetConfig, Wire.Config(32, 1, [0])));
        before[32] = 0;
        Assert.Equal(before, Configuration());
    }

    private byte[] Configuration() => _frontEnd.Ask(GetConfig, Wire.Config(0, 60, new byte[60]))[12..];

    private void Start()
    {
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.AddMemory(_ram);
        _frontEnd.StartRing(_ring);
    }

    /// <summary>A request for a sector, in descriptors of its own. Its header and status are in the ring's buffers.</summary>
    private void Read(int request, ulong into)
    {
        int first = request * 3, at = request * 32;
        Span<byte> header = _ring.BufferBytes(at, 32);
        header.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], (ulong)request); // type 0: read
        header[16] = 0xFF;
        _ring.SetDescriptor(first, _ring.Buffer + (ulong)at, 16, DescriptorFlags.Next, (ushort)(first + 1));
        _ring.SetDescriptor(first + 1, into, Sector, DescriptorFlags.Write | DescriptorFlags.Next, (ushort)(first + 2));
        _ring.SetDescriptor(first + 2, _ring.Buffer + (ulong)at + 16, 1, DescriptorFlags.Write);
        _ring.Offer((ushort)first);
    }

    private int Status(int request) => _ring.BufferBytes(request * 32 + 16, 1)[0];
}

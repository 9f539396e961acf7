using System.Buffers.Binary;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>What is in flight when a back-end dies is done by the next one.</summary>
public sealed class InflightTests : IDisposable
{
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;

    public InflightTests() => _ring = new GuestRing(_ram);

    public void Dispose()
    {
        _ring.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void The_memory_asked_for_is_new_and_of_the_right_size()
    {
        using var served = new ServedDevice(new KeepingDevice());
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate();
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);

        (byte[] reply, FileDescriptor file) = frontEnd.AskForFile(FrontEndRequest.GetInflightFd, Wire.Inflight(0, 0, 2, 256));

        using (file)
        {
            const int Queue = 16 + 256 * 16 + 48; // up to the next cache line
            Assert.Equal(Wire.Inflight(2 * Queue, 0, 2, 256), reply);
            using MappedRegion mapping = MappedRegion.Map(file, 0, 2 * Queue);
            Assert.False(mapping.Slice(0, 2 * Queue).ContainsAnyExcept((byte)0));
            Assert.True(MemFd.GetSeals(file)!.Value.HasFlag(FileSeals.Shrink));
        }
    }

    [Fact]
    [Proves("In-flight tracking", "vhost-user")]
    public void A_successor_does_what_was_in_flight_first_and_once()
    {
        using FileDescriptor file = Die(requests: 3);
        _ring.OfferBuffer(head: 7);
        var heir = new KeepingDevice { Keeps = false };
        using var served = new ServedDevice(heir);
        using FrontEnd frontEnd = served.Connect();

        Start(frontEnd, file);

        _ring.WaitUsed(4);
        Assert.Equal([2u, 1, 0, 7], Enumerable.Range(0, 4).Select(i => _ring.UsedAt((ushort)i).Id)); // the order in which they were offered
        Assert.Equal([1, 2, 3, 4], new[] { 2, 1, 0, 7 }.Select(head => (int)_ring.BufferBytes(head * 64, 1)[0]));
        Assert.Equal(4u, frontEnd.StopRing(_ring));
        Assert.Equal(4, heir.Taken);
    }

    [Fact]
    public void What_was_in_flight_is_served_before_a_position_is_given()
    {
        using FileDescriptor file = Die(requests: 3);
        var heir = new KeepingDevice { Keeps = false };
        using var served = new ServedDevice(heir);
        using FrontEnd frontEnd = served.Connect();

        Start(frontEnd, file);

        Assert.Equal(3u, frontEnd.StopRing(_ring));
        Assert.Equal((3, 3), (heir.Taken, _ring.UsedIndex));
    }

    [Fact]
    public void A_device_that_is_reset_has_nothing_in_flight()
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        HaveTwoTaken(frontEnd, device);

        frontEnd.Do(FrontEndRequest.ResetDevice);

        device.Keeps = false;
        _ring.Restart();
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        frontEnd.StartRing(_ring);
        Assert.Equal(1u, _ring.Serve());
        Assert.Equal((3, 1), (device.Taken, _ring.UsedIndex));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_machine_that_pauses_goes_on_with_what_was_in_flight(bool statusFirst)
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        HaveTwoTaken(frontEnd, device);

        if (statusFirst) // as QEMU 7.2 does
            frontEnd.Do(FrontEndRequest.SetStatus, Wire.U64(0));
        uint at = frontEnd.StopRing(_ring);
        if (!statusFirst)
            frontEnd.Do(FrontEndRequest.SetStatus, Wire.U64(0));
        device.Keeps = false;
        frontEnd.StartRing(_ring, (ushort)at);

        _ring.WaitUsed(2);
        Assert.Equal((2u, 4), (at, device.Taken));
    }

    [Fact]
    public void A_ring_that_starts_elsewhere_than_it_stopped_has_nothing_in_flight()
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        HaveTwoTaken(frontEnd, device);
        Assert.Equal(2u, frontEnd.StopRing(_ring));

        device.Keeps = false;
        _ring.Restart();
        frontEnd.StartRing(_ring);

        Assert.Equal(1u, _ring.Serve());
        Assert.Equal((3, 1), (device.Taken, _ring.UsedIndex));
    }

    [Fact]
    public void A_ring_whose_memory_is_given_again_goes_on_with_what_is_noted_there_wherever_it_starts()
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        using FileDescriptor file = Prepare(frontEnd);
        Start(frontEnd, file, isNew: false);
        Offer(2);
        WaitTaken(device, 2);
        Assert.Equal(2u, frontEnd.StopRing(_ring));

        device.Keeps = false;
        SetInflight(frontEnd, file);
        frontEnd.StartRing(_ring, at: 1); // as another back-end may have stopped, which had the ring meanwhile

        _ring.WaitUsed(2);
        Assert.Equal(4, device.Taken);
    }

    [Fact]
    public void A_region_that_cannot_be_stops_only_its_ring()
    {
        using FileDescriptor file = Die(requests: 1);
        using (MappedRegion mapping = MappedRegion.Map(file, 0, 4096))
            BinaryPrimitives.WriteUInt16LittleEndian(mapping.Slice(10, 2), 255);
        using var served = new ServedDevice(new KeepingDevice { Keeps = false });
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate();
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        frontEnd.AddMemory(_ram);
        SetInflight(frontEnd, file);
        frontEnd.Describe(_ring);
        Assert.Equal(0UL, frontEnd.SendKick(_ring));

        Assert.Equal(1UL, frontEnd.Enable(_ring));

        Assert.Contains(served.Log.Errors, line => line.Contains("in-flight region: desc_num = 255, but its queue size is 256", StringComparison.Ordinal));
        Assert.True(Readiness.WaitReadable(_ring.Error.Descriptor, Patience.Limit));
        using FileDescriptor another = Prepare(frontEnd, negotiate: false);
        SetInflight(frontEnd, another); // and now it runs
        _ring.WaitUsed(1);
    }

    [Fact]
    public void A_ring_that_runs_may_be_given_other_memory()
    {
        using var served = new ServedDevice(new KeepingDevice { Keeps = false });
        using FrontEnd frontEnd = served.Connect();
        using FileDescriptor first = Prepare(frontEnd);
        Start(frontEnd, first, isNew: false);
        Assert.Equal(1u, _ring.Serve());
        using FileDescriptor second = Prepare(frontEnd, negotiate: false);

        SetInflight(frontEnd, second);

        Assert.Equal(1u, _ring.Serve());
        using MappedRegion mapping = MappedRegion.Map(second, 0, 4096);
        Assert.Equal(2, BinaryPrimitives.ReadUInt16LittleEndian(mapping.Slice(14, 2))); // used_idx
    }

    [Fact]
    public void It_can_be_withheld()
    {
        using var served = new ServedDevice(options: new VhostUserOptions { Withheld = ProtocolFeatures.InflightShmfd });
        using FrontEnd frontEnd = served.Connect();

        frontEnd.Negotiate();

        Assert.Equal(0UL, frontEnd.AskU64(FrontEndRequest.GetProtocolFeatures) & (ulong)ProtocolFeatures.InflightShmfd);
        frontEnd.Send(FrontEndRequest.GetInflightFd, Wire.Inflight(0, 0, 1, 256));
        frontEnd.AssertClosed();
    }

    /// <summary>A back-end that takes requests, the last head first, and dies before it has done one.</summary>
    private FileDescriptor Die(int requests)
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        FileDescriptor file = Prepare(frontEnd);
        Start(frontEnd, file, isNew: false);
        Offer(requests);
        WaitTaken(device, requests);
        Assert.Equal(0, _ring.UsedIndex);
        return file;
    }

    private void Offer(int requests)
    {
        for (int head = requests - 1; head >= 0; head--)
            _ring.OfferBuffer(head: (ushort)head);
        _ring.Kick.Signal();
    }

    private static void WaitTaken(KeepingDevice device, int requests) =>
        Assert.True(SpinWait.SpinUntil(() => device.Taken == requests, Patience.Limit));

    /// <summary>The ring runs, and the device has taken two requests that it keeps.</summary>
    private void HaveTwoTaken(FrontEnd frontEnd, KeepingDevice device)
    {
        using FileDescriptor file = Prepare(frontEnd);
        Start(frontEnd, file, isNew: false);
        Offer(2);
        WaitTaken(device, 2);
    }

    private FileDescriptor Prepare(FrontEnd frontEnd, bool negotiate = true)
    {
        if (negotiate)
        {
            frontEnd.Negotiate();
            frontEnd.SetFeatures(FrontEnd.ModernFeatures);
            frontEnd.AddMemory(_ram);
        }

        return frontEnd.AskForFile(FrontEndRequest.GetInflightFd, Wire.Inflight(0, 0, 2, (ushort)_ring.Size)).File;
    }

    /// <summary>As QEMU does it: the in-flight memory, then the ring, from its used index on.</summary>
    private void Start(FrontEnd frontEnd, FileDescriptor file, bool isNew = true)
    {
        if (isNew)
        {
            frontEnd.Negotiate();
            frontEnd.SetFeatures(FrontEnd.ModernFeatures);
            frontEnd.AddMemory(_ram);
        }

        SetInflight(frontEnd, file);
        frontEnd.StartRing(_ring, _ring.UsedIndex);
    }

    private void SetInflight(FrontEnd frontEnd, FileDescriptor file) =>
        frontEnd.Do(FrontEndRequest.SetInflightFd, Wire.Inflight(4160, 0, 1, (ushort)_ring.Size), file);
}

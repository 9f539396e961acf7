using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>A driver whose device moves to another back-end; that requests in flight survive it is shown with real daemons.</summary>
[Collection(Alone.Name)]
public sealed class MoveTests
{
    [Theory]
    [InlineData(ProtocolFeatures.None)]
    [InlineData(ProtocolFeatures.DeviceState)]
    [InlineData(ProtocolFeatures.InflightShmfd)]
    [InlineData(VhostUserFrontEndOptions.Implemented)]
    [Proves("DEVICE_STATE", "vhost-user")]
    public void A_driver_goes_on_where_its_device_has_moved(ProtocolFeatures withheld)
    {
        using var first = new ServedDevice();
        using var second = new ServedDevice();
        using (VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(first.SocketPath, DeviceId.Entropy, new() { Withheld = withheld }))
        using (var driver = new RngDriver(frontEnd))
        {
            byte[] bytes = new byte[10_000];
            for (int i = 0; i < 6; i++)
            {
                Assert.Equal(bytes.Length, driver.Read(bytes, Patience.Limit));
                frontEnd.MoveTo((i % 2 == 0 ? second : first).SocketPath);
            }

            Assert.Equal(bytes.Length, driver.Read(bytes, Patience.Limit));
        }

        bool hasState = (withheld & ProtocolFeatures.DeviceState) == 0;
        foreach (ServedDevice one in new[] { first, second })
        {
            SessionReport report = one.NextReport();
            Assert.Null(report.Ended);
            Assert.Equal(hasState, report.Messages.ContainsKey("SET_DEVICE_STATE_FD"));
            Assert.Empty(one.Log.Errors);
        }
    }

    [Fact]
    [Proves("DEVICE_STATE", "vhost-user")]
    public void What_its_driver_set_moves_with_a_disk()
    {
        using var first = new ServedDevice(new BlockDevice(new SlowDisk { IsQuick = true }));
        using var second = new ServedDevice(new BlockDevice(new SlowDisk { IsQuick = true }));
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(first.SocketPath, DeviceId.Block);
        using var driver = new BlockDriver(frontEnd);
        driver.SetWriteback(false);

        frontEnd.MoveTo(second.SocketPath);

        Assert.False(driver.IsWriteback);
        driver.Read(0, new byte[512]);
    }

    [Fact]
    public void When_the_new_one_cannot_take_over_the_old_one_goes_on()
    {
        using var first = new ServedDevice();
        using var stubborn = new ServedDevice(new StubbornDevice(new RngDevice()));
        using var other = new ServedDevice(options: new() { Withheld = ProtocolFeatures.Status });
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(first.SocketPath, DeviceId.Entropy);
        using var driver = new RngDriver(frontEnd);
        byte[] bytes = new byte[10_000];

        foreach ((string path, FrontEndRequest request) in new[]
        {
            ("/nobody/listens/here", FrontEndRequest.None),
            (other.SocketPath, FrontEndRequest.GetProtocolFeatures),
            (stubborn.SocketPath, FrontEndRequest.CheckDeviceState),
        })
        {
            var refused = Assert.Throws<VhostUserException>(() => frontEnd.MoveTo(path));
            Assert.Equal(request, refused.Request);
            Assert.Equal(bytes.Length, driver.Read(bytes, Patience.Limit));
        }

        Assert.Contains(stubborn.Log.Errors, line => line.Contains("not mine", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("GET_VRING_BASE_INFLIGHT", "vhost-user")]
    public void What_is_in_flight_is_used_once_where_a_move_is_refused_after_requests_were_used_out_of_order(bool isPacked)
    {
        var device = new FourthFirstDevice();
        using var first = new ServedDevice(device);
        using var stubborn = new ServedDevice(new StubbornDevice(new FourthFirstDevice()));
        using VhostUserFrontEnd frontEnd = ConnectOutOfOrder(first, isPacked);
        using DriverSession session = DriverSession.Open(frontEnd, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        ushort[] left = HaveTheFourthUsed(session, queue, isPacked);

        device.Keeps = false;
        var refused = Assert.Throws<VhostUserException>(() => frontEnd.MoveTo(stubborn.SocketPath));

        Assert.Equal(FrontEndRequest.CheckDeviceState, refused.Request);
        AssertUsesOnce(queue, left);
        Assert.Equal(4 + 3, device.Taken);
        Assert.True(queue.TryAdd([], [session.Dma.Allocate(16)], out ushort another));
        queue.Kick();
        AssertUsesOnce(queue, another);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_a_new_one_that_cannot_run_all_rings_those_it_runs_are_taken_back_before_the_old_one_goes_on(bool isPacked)
    {
        var device = new FourthFirstDevice();
        using var first = new ServedDevice(device);
        using var narrow = new ServedDevice(new FourthFirstDevice(otherSize: 4));
        using VhostUserFrontEnd frontEnd = ConnectOutOfOrder(first, isPacked);
        using DriverSession session = DriverSession.Open(frontEnd, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0), other = session.EnableQueue(1);
        session.Start();
        ushort[] left = HaveTheFourthUsed(session, queue, isPacked);

        device.Keeps = false;
        var refused = Assert.Throws<VhostUserException>(() => frontEnd.MoveTo(narrow.SocketPath));

        Assert.Equal(FrontEndRequest.SetVringEnable, refused.Request);
        Assert.Equal(2, narrow.NextReport().Messages["GET_VRING_BASE"]);
        AssertUsesOnce(queue, left);
        Assert.Equal(4 + 3, device.Taken);
        Assert.True(other.TryAdd([], [session.Dma.Allocate(16)], out ushort another));
        other.Kick();
        AssertUsesOnce(other, another);
    }

    private static VhostUserFrontEnd ConnectOutOfOrder(ServedDevice served, bool isPacked) =>
        VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, new() { WithheldFeatures = isPacked ? Features.InOrder : Features.InOrder | Features.RingPacked });

    /// <summary>Of four requests the device has used the last.</summary>
    /// <returns>The others.</returns>
    private static ushort[] HaveTheFourthUsed(DriverSession session, DriverQueue queue, bool isPacked)
    {
        Assert.Equal(isPacked, session.NegotiatedFeatures.Has(Features.RingPacked));
        ushort[] ids = new ushort[4];
        foreach (ref ushort id in ids.AsSpan())
            Assert.True(queue.TryAdd([], [session.Dma.Allocate(16)], out id));
        queue.Kick();
        AssertUsesOnce(queue, ids[3]);
        return ids[..3];
    }

    private static void AssertUsesOnce(DriverQueue queue, params ushort[] ids)
    {
        var used = new List<ushort>();
        while (used.Count < ids.Length)
        {
            Assert.True(queue.Wait(Patience.Limit, out ushort id, out _), $"of {ids.Length} requests {used.Count} were used");
            used.Add(id);
        }

        Assert.Equal(ids.Order(), used.Order());
        Assert.False(queue.TryGet(out ushort twice, out _), $"request {twice} was used twice");
    }

    private sealed class StubbornDevice(VirtioDevice inner) : DelegatingDevice(inner)
    {
        public override void LoadState(ReadOnlySpan<byte> state) => throw new FormatException("not mine");
    }

    /// <summary>Uses its fourth request at once and keeps the others, until it is told to keep none.</summary>
    private sealed class FourthFirstDevice(int otherSize = 256) : VirtioDevice
    {
        private readonly List<PendingChain> _kept = [];
        private volatile int _taken;

        public volatile bool Keeps = true;

        /// <summary>Requests that came.</summary>
        public int Taken => _taken;

        public override DeviceTraits Traits { get; } = new(DeviceId.Entropy, Spec.Features.None, new QueueTraits("kept", 256), new QueueTraits("other", otherSize));

        public override void OnChain(int queue, scoped ref DeviceChain chain)
        {
            if (Keeps && _taken != 3)
                _kept.Add(chain.Hold());
            else
                chain.Write([(byte)_taken]);
            _taken++;
        }

        public override void OnStopping(int queue) => _kept.Clear();
    }
}

using VirtioSharp.Core.Device;
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
        using var stubborn = new ServedDevice(new StubbornDevice());
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

    private sealed class StubbornDevice() : DelegatingDevice(new RngDevice())
    {
        public override void LoadState(ReadOnlySpan<byte> state) => throw new FormatException("not mine");
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>A device with a configuration space and two queues.</summary>
public sealed class ConfigurationTests : IDisposable
{
    private readonly ServedDevice _served = new(new ConfigurableDevice());
    private readonly GuestRam _ram = new();
    private readonly GuestRing _plain;
    private readonly GuestRing _changing;
    private readonly FrontEnd _frontEnd;

    public ConfigurationTests()
    {
        (_plain, _changing) = (new GuestRing(_ram), new GuestRing(_ram, GuestRing.Extent, index: 1));
        _frontEnd = _served.Connect();
        _frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config);
    }

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _plain.Dispose();
        _changing.Dispose();
        _ram.Dispose();
    }

    [Theory]
    [InlineData(0, 16, "C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF")]
    [InlineData(4, 4, "C4C5C6C7")]
    [InlineData(15, 4, "CF000000")]
    [InlineData(16, 2, "0000")]
    [InlineData(0xFFFFFFFF, 2, "0000")]
    [InlineData(3, 0, "")]
    [Proves("CONFIG", "vhost-user")]
    public void Configuration_space_is_read_and_is_zero_beyond_its_end(uint offset, uint size, string expected)
    {
        byte[] reply = _frontEnd.Ask(FrontEndRequest.GetConfig, Wire.Config(offset, size, new byte[size]));

        Assert.Equal(Wire.Config(offset, size, Convert.FromHexString(expected)), reply);
    }

    [Fact]
    public void All_256_bytes_that_a_front_end_may_ask_for_come_back()
    {
        byte[] reply = _frontEnd.Ask(FrontEndRequest.GetConfig, Wire.Config(0, 256, new byte[256]));

        Assert.Equal(12 + 256, reply.Length);
        Assert.Equal(new byte[240], reply[28..]);
    }

    [Fact]
    [Proves("CONFIG", "vhost-user")]
    public void Configuration_space_is_written()
    {
        _frontEnd.Do(FrontEndRequest.SetConfig, Wire.Config(2, 3, [1, 2, 3]));

        Assert.Equal("C0C1010203C5", Convert.ToHexString(Read(6)));
    }

    [Theory]
    [InlineData(15, 2)]
    [InlineData(17, 1)]
    [InlineData(0xFFFFFFFF, 1)]
    public void A_write_beyond_configuration_space_is_refused_and_changes_nothing(uint offset, uint size)
    {
        Assert.Equal(1UL, _frontEnd.Acknowledged(FrontEndRequest.SetConfig, Wire.Config(offset, size, new byte[size])));

        Assert.Equal("C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF", Convert.ToHexString(Read(16)));
    }

    [Fact]
    [Proves("BACKEND_REQ", "vhost-user")]
    public void A_change_of_configuration_is_announced_and_does_not_wait_for_an_answer()
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using var requests = new FrontEnd(ours);
        using (theirs)
            _frontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
        StartBoth();

        Assert.Equal(2u, _changing.Serve());

        Assert.Equal((2u, Wire.Version), (requests.Receive()!.Value.Request, Wire.Version)); // CONFIG_CHANGE; QEMU now asks, and answers only then
        Assert.Equal(0xC1, Read(1)[0]);
        requests.SendRaw([.. Wire.Header(2, Wire.Version | Wire.Reply, 8), .. Wire.U64(0)]);
        Assert.Equal(2u, _changing.Serve());
        Assert.Equal(2u, requests.Receive()!.Value.Request);
    }

    [Fact]
    [Proves("BACKEND_REQ", "vhost-user")]
    public void A_change_while_the_machine_is_paused_is_announced_when_it_goes_on()
    {
        using var served = new ServedDevice(new AnnouncingDevice());
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config);
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using var requests = new FrontEnd(ours);
        using (theirs)
            frontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        frontEnd.AddMemory(_ram);
        frontEnd.StartRing(_plain);
        AssertServed(_plain, [0, 0xC0]);
        frontEnd.Do(FrontEndRequest.SetStatus, Wire.U64(0)); // as QEMU does at "stop"
        uint at = frontEnd.StopRing(_plain);

        frontEnd.Do(FrontEndRequest.SetConfig, Wire.Config(0, 1, [7]));

        Assert.False(Readiness.WaitReadable(requests.Descriptor, TimeSpan.Zero), "it was announced while the device is suspended");
        frontEnd.StartRing(_plain, (ushort)at);
        Assert.Equal((2u, Wire.Version), (requests.Receive()!.Value.Request, Wire.Version)); // CONFIG_CHANGE
        AssertServed(_plain, [0, 7]);
        Assert.False(Readiness.WaitReadable(requests.Descriptor, TimeSpan.Zero), "it was announced twice");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_change_of_configuration_that_nobody_reads_does_no_harm(bool closed)
    {
        using var served = new ServedDevice(new ConfigurableDevice(changesPerRequest: 1000));
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config);
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using (theirs)
            frontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
        if (closed)
            ours.Dispose();
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        frontEnd.AddMemory(_ram);
        frontEnd.StartRing(_changing);

        for (int i = 0; i < 10; i++)
            Assert.Equal(2u, _changing.Serve());

        ours.Dispose();
        frontEnd.Barrier();
    }

    [Fact]
    [Proves("MQ", "vhost-user")]
    public void Each_of_two_queues_is_enabled_and_disabled_by_itself()
    {
        Assert.Equal(2UL, _frontEnd.AskU64(FrontEndRequest.GetQueueNum));
        StartBoth();
        AssertServed(_plain, [0, 0xC0]);
        AssertServed(_changing, [1, 0xC1]);

        _frontEnd.Enable(_plain, enabled: false);
        _plain.OfferBuffer();
        _plain.Kick.Signal();
        AssertServed(_changing, [1, 0xC2]);
        _frontEnd.Barrier();
        Assert.Equal(1, _plain.UsedIndex);

        _frontEnd.Enable(_plain);
        _plain.WaitUsed(2);
        Assert.Equal<byte>([0, 0xC2], _plain.BufferBytes(0, 2).ToArray());

        Assert.Equal(2u, _frontEnd.StopRing(_changing));
        AssertServed(_plain, [0, 0xC2]);
        Assert.Equal(3u, _frontEnd.StopRing(_plain));
    }

    [Fact]
    [Proves("MQ", "vhost-user")]
    public void A_queue_that_the_front_end_enables_but_never_sets_up_is_left_alone()
    {
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures | 1 << 5);
        _frontEnd.AddMemory(_ram);
        Assert.Equal(0UL, _frontEnd.Enable(_changing));

        _frontEnd.StartRing(_plain);

        AssertServed(_plain, [0, 0xC0]);
        Assert.Equal(0u, _frontEnd.StopRing(_changing));
    }

    [Fact]
    public void A_device_without_configuration_space_does_not_offer_CONFIG()
    {
        using var rng = new ServedDevice();
        using FrontEnd frontEnd = rng.Connect();

        Assert.Equal(0UL, frontEnd.AskU64(FrontEndRequest.GetProtocolFeatures) & (ulong)ProtocolFeatures.Config);
    }

    private static void AssertServed(GuestRing ring, byte[] expected)
    {
        Assert.Equal((uint)expected.Length, ring.Serve());
        Assert.Equal(expected, ring.BufferBytes(0, expected.Length).ToArray());
    }

    private void StartBoth()
    {
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.AddMemory(_ram);
        _frontEnd.StartRing(_plain);
        _frontEnd.StartRing(_changing);
    }

    private byte[] Read(uint size) => _frontEnd.Ask(FrontEndRequest.GetConfig, Wire.Config(0, size, new byte[size]))[12..];

    /// <summary>Whatever is written to its configuration is a change of it, as a resize from outside is.</summary>
    private sealed class AnnouncingDevice() : DelegatingDevice(new ConfigurableDevice())
    {
        public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
        {
            bool written = base.WriteConfiguration(offset, source);
            Services.ConfigurationChanged();
            return written;
        }
    }
}

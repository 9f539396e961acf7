using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>Sessions as front-ends hold them.</summary>
public sealed class HandshakeTests
{
    private const ulong SeaBios = Wire.ProtocolFeatures | Wire.Version1; // 0x140000000
    private const ulong Linux = FrontEnd.ModernFeatures;

    [Theory]
    [InlineData("7.2", ProtocolFeatures.None)]
    [InlineData("7.2", ProtocolFeatures.ConfigureMemSlots)]
    [InlineData("7.2", ProtocolFeatures.Status | ProtocolFeatures.Mq)]
    [InlineData("11.1", ProtocolFeatures.None)]
    [InlineData("11.1", ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.BackEndReq)]
    [Proves("Entropy device", "vhost-user")]
    [Proves("Split ring", "vhost-user")]
    [Proves("CONFIGURE_MEM_SLOTS", "vhost-user")]
    [Proves("BACKEND_REQ", "vhost-user")]
    public void Qemus_messages_start_stop_and_start_the_device_again(string version, ProtocolFeatures withheld)
    {
        using var served = new ServedDevice(options: new VhostUserOptions { Withheld = withheld });
        using FrontEnd frontEnd = served.Connect();
        using QemuFrontEnd qemu = QemuFrontEnd.Of(version, frontEnd);
        using var ram = new GuestRam();
        using var above4G = new GuestRam(guestAddress: 1UL << 32, userAddress: 0x7f13_0000_0000);
        using var ring = new GuestRing(ram);
        qemu.Begin(ring);

        qemu.Start(ring, Linux, at: 0, ram, above4G);
        for (int i = 0; i < 10; i++)
            ring.AssertServes();
        Assert.Equal(10u, qemu.Stop(ring));
        qemu.Start(ring, Linux, at: 10); // "cont": the memory is still there
        ring.AssertServes();
        Assert.Equal(11u, qemu.Stop(ring));

        frontEnd.Dispose();
        SessionReport report = served.NextReport();
        Assert.Null(report.Ended);
        Assert.Equal(DeviceId.Entropy, report.Device);
        Assert.Equal(new FeatureSet(Linux & ~Wire.ProtocolFeatures), report.DriverFeatures);
        Assert.Equal(2, report.MemoryRegions);
        Assert.Empty(report.Faults);
        Assert.Equal(4, report.Messages["SET_VRING_ENABLE"]);
        QueueReport queue = Assert.Single(report.Queues);
        Assert.Equal(("request", 256), (queue.Name, queue.Size));
        Assert.Equal((11UL, 11UL * 64), (queue.Counts.Chains, queue.Counts.BytesWritten));
        Assert.Empty(served.Log.Errors);
    }

    [Fact]
    public void Qemu_11_1_without_reply_ack_asks_for_the_features_as_a_barrier()
    {
        using var served = new ServedDevice(options: new VhostUserOptions { Withheld = ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq });
        using FrontEnd frontEnd = served.Connect();
        using QemuFrontEnd qemu = QemuFrontEnd.Of("11.1", frontEnd);
        using var ram = new GuestRam(userAddress: GuestRam.DefaultGuestAddress); // GPA_ADDRESSES
        using var ring = new GuestRing(ram);
        qemu.Begin(ring);
        frontEnd.Send(FrontEndRequest.AddMemReg, Wire.OneRegion(ram.Region), ram.File);

        qemu.Start(ring, Linux, at: 0);

        ring.AssertServes();
    }

    [Theory]
    [InlineData("7.2")]
    [InlineData("11.1")]
    public void The_firmware_and_then_the_kernel_drive_the_device_in_one_connection(string version)
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        using QemuFrontEnd qemu = QemuFrontEnd.Of(version, frontEnd);
        using var ram = new GuestRam();
        using var firmware = new GuestRing(ram, size: 8);
        using var kernel = new GuestRing(ram, offset: GuestRing.Extent, size: 1024);
        qemu.Begin(firmware);

        qemu.Start(firmware, SeaBios, at: 0, ram);
        firmware.AssertServes();
        qemu.Stop(firmware);
        qemu.Start(kernel, Linux, at: 0);
        kernel.AssertServes();
        qemu.Stop(kernel);

        frontEnd.Dispose();
        SessionReport report = served.NextReport();
        Assert.Equal(2, report.RingStarts);
        Assert.Equal(1024, report.Queues[0].Size);
        Assert.Equal(new FeatureSet(Linux & ~Wire.ProtocolFeatures), report.DriverFeatures);
        Assert.Equal(1, served.Log.Count("driver ready, features VERSION_1(32)"));
        Assert.Equal(1, served.Log.Count("driver ready, features INDIRECT_DESC(28) EVENT_IDX(29) VERSION_1(32)"));
    }

    [Fact]
    public void A_front_end_without_memory_slots_shares_all_memory_at_once()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var more = new GuestRam(guestAddress: 1UL << 32, userAddress: 0x7f13_0000_0000, mmapOffset: 0x3000);
        using var ring = new GuestRing(more);
        frontEnd.Negotiate(ProtocolFeatures.ReplyAck);
        frontEnd.SetFeatures(Linux);

        frontEnd.SetMemoryTable(ram, more);
        frontEnd.StartRing(ring);

        ring.AssertServes();
    }

    [Fact]
    public void A_driver_that_does_not_know_the_protocol_bit_finds_its_rings_enabled()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Send(FrontEndRequest.SetOwner);
        frontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(Wire.Version1));
        frontEnd.Send(FrontEndRequest.SetMemTable, Wire.Table(1, ram.Region), ram.File);
        frontEnd.Describe(ring);

        frontEnd.Send(FrontEndRequest.SetVringKick, Wire.U64(0), ring.Kick.Descriptor);

        ring.AssertServes();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(Wire.EventIdx | Wire.IndirectDesc)]
    public void A_legacy_driver_is_served(ulong features)
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);

        frontEnd.Start(ram, ring, Wire.ProtocolFeatures | features);

        ring.AssertServes();
    }

    [Fact]
    [Proves("Reconnect", "vhost-user")]
    public void The_next_front_end_waits_until_this_one_has_left_and_finds_the_device_reset()
    {
        using var served = new ServedDevice();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        using var nextRam = new GuestRam();
        using var nextRing = new GuestRing(nextRam);
        FrontEnd first = served.Connect();
        first.Start(ram, ring);
        using FrontEnd next = served.Connect();
        next.Send(FrontEndRequest.GetFeatures);

        ring.AssertServes();
        first.Dispose();

        next.Reply(FrontEndRequest.GetFeatures);
        next.Start(nextRam, nextRing, SeaBios);
        nextRing.AssertServes();
        Assert.Equal(2, served.Log.Count("front-end connected (process "));
        Assert.Equal(1, served.Log.Count("front-end left; it sent 13 messages, 1 requests were served"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Proves("Reconnect", "vhost-user")]
    public void A_front_end_that_comes_again_goes_on_where_it_stood(bool stopsTheRingFirst)
    {
        using var served = new ServedDevice();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        using (FrontEnd frontEnd = served.Connect())
        {
            frontEnd.Start(ram, ring);
            for (int i = 0; i < 5; i++)
                ring.AssertServes();
            if (stopsTheRingFirst)
                frontEnd.StopRing(ring);
        }

        served.NextReport();
        ring.OfferBuffer(); // while nobody is there
        using FrontEnd again = served.Connect();
        again.Start(ram, ring, at: ring.UsedIndex);

        ring.WaitUsed(6);
        ring.AssertServes();
    }

    [Fact]
    public void A_single_connection_is_served_until_it_is_closed()
    {
        using var served = new ServedDevice(overPair: true);
        served.AssertServesNext();

        served.AssertEnds();
    }

    [Fact]
    public void A_single_connection_that_breaks_the_rules_ends_the_server_too()
    {
        using var served = new ServedDevice(overPair: true);
        using FrontEnd frontEnd = served.Connect();
        frontEnd.SendRaw(Wire.Header(99, Wire.Version, 0));

        frontEnd.AssertClosed();

        served.AssertEnds();
        Assert.Equal("request 99 is not implemented here, and its feature was not offered", served.NextReport().Ended);
    }

    [Fact]
    public void A_server_that_is_stopped_ends_the_session_and_reports_it()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Barrier();

        served.Stop();

        frontEnd.AssertClosed();
        served.AssertEnds();
        Assert.Equal("the back-end was stopped", served.NextReport().Ended);
    }

    public static TheoryData<ProtocolFeatures, FrontEndRequest, byte[]> WithTheirMessages() => new()
    {
        { ProtocolFeatures.Mq, FrontEndRequest.GetQueueNum, [] },
        { ProtocolFeatures.ResetDevice, FrontEndRequest.ResetDevice, [] },
        { ProtocolFeatures.ConfigureMemSlots, FrontEndRequest.GetMaxMemSlots, [] },
        { ProtocolFeatures.ConfigureMemSlots, FrontEndRequest.AddMemReg, new byte[40] },
        { ProtocolFeatures.ConfigureMemSlots, FrontEndRequest.RemMemReg, new byte[40] },
        { ProtocolFeatures.Status, FrontEndRequest.GetStatus, [] },
        { ProtocolFeatures.Status, FrontEndRequest.SetStatus, new byte[8] },
        { ProtocolFeatures.BackEndReq, FrontEndRequest.SetBackEndReqFd, [] },
    };

    [Theory]
    [MemberData(nameof(WithTheirMessages))]
    public void A_feature_that_is_withheld_is_neither_offered_nor_obeyed(ProtocolFeatures feature, FrontEndRequest request, byte[] payload)
    {
        using var served = new ServedDevice(options: new VhostUserOptions { Withheld = feature });
        using (FrontEnd frontEnd = served.Connect())
        {
            Assert.Equal(VhostUserOptions.Implemented & ~ProtocolFeatures.Config & ~feature, (ProtocolFeatures)frontEnd.AskU64(FrontEndRequest.GetProtocolFeatures));
            frontEnd.Negotiate();
            frontEnd.SendNeedingReply(request, payload);
            frontEnd.AssertClosed();
        }

        Assert.EndsWith($" belongs to the protocol feature {feature}, which was not negotiated", served.NextReport().Ended);
        Assert.Single(served.Log.Errors);

        using FrontEnd insistent = served.Connect();
        insistent.Send(FrontEndRequest.SetProtocolFeatures, Wire.U64((ulong)feature));
        insistent.AssertClosed();
        Assert.Equal($"SET_PROTOCOL_FEATURES accepts {feature}, which was not offered", served.NextReport().Ended);
    }
}

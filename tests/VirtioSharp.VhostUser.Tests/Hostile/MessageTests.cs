using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Messages that look wrong before anybody looks into them: header, size, descriptors, features.</summary>
public sealed class MessageTests : HostileTest
{
    /// <summary>Every request that is implemented, with the specification's name and its smallest and largest payload.</summary>
    private static readonly (FrontEndRequest Request, string Name, uint Min, uint Max)[] Sizes =
    [
        (FrontEndRequest.GetFeatures, "GET_FEATURES", 0, 0),
        (FrontEndRequest.SetFeatures, "SET_FEATURES", 8, 8),
        (FrontEndRequest.SetOwner, "SET_OWNER", 0, 0),
        (FrontEndRequest.ResetOwner, "RESET_OWNER", 0, 0),
        (FrontEndRequest.SetMemTable, "SET_MEM_TABLE", 8, 8 + 8 * 32),
        (FrontEndRequest.SetVringNum, "SET_VRING_NUM", 8, 8),
        (FrontEndRequest.SetVringAddr, "SET_VRING_ADDR", 40, 40),
        (FrontEndRequest.SetVringBase, "SET_VRING_BASE", 8, 8),
        (FrontEndRequest.GetVringBase, "GET_VRING_BASE", 8, 8),
        (FrontEndRequest.SetVringKick, "SET_VRING_KICK", 8, 8),
        (FrontEndRequest.SetVringCall, "SET_VRING_CALL", 8, 8),
        (FrontEndRequest.SetVringErr, "SET_VRING_ERR", 8, 8),
        (FrontEndRequest.GetProtocolFeatures, "GET_PROTOCOL_FEATURES", 0, 0),
        (FrontEndRequest.SetProtocolFeatures, "SET_PROTOCOL_FEATURES", 8, 8),
        (FrontEndRequest.GetQueueNum, "GET_QUEUE_NUM", 0, 0),
        (FrontEndRequest.SetVringEnable, "SET_VRING_ENABLE", 8, 8),
        (FrontEndRequest.SetBackEndReqFd, "SET_BACKEND_REQ_FD", 0, 0),
        (FrontEndRequest.GetConfig, "GET_CONFIG", 12, 12 + 256),
        (FrontEndRequest.SetConfig, "SET_CONFIG", 12, 12 + 256),
        (FrontEndRequest.ResetDevice, "RESET_DEVICE", 0, 0),
        (FrontEndRequest.GetMaxMemSlots, "GET_MAX_MEM_SLOTS", 0, 0),
        (FrontEndRequest.AddMemReg, "ADD_MEM_REG", 40, 40),
        (FrontEndRequest.RemMemReg, "REM_MEM_REG", 40, 40),
        (FrontEndRequest.SetStatus, "SET_STATUS", 8, 8),
        (FrontEndRequest.GetStatus, "GET_STATUS", 0, 0),
    ];

    public static TheoryData<FrontEndRequest, string, uint> WrongSizes()
    {
        var data = new TheoryData<FrontEndRequest, string, uint>();
        foreach (var (request, name, min, max) in Sizes)
        {
            if (min > 0)
                data.Add(request, name, min - 1);
            data.Add(request, name, max + 1);
        }

        data.Add(FrontEndRequest.SetFeatures, "SET_FEATURES", 0xFFFFFFFF);
        data.Add(FrontEndRequest.SetMemTable, "SET_MEM_TABLE", 0x80000000);
        return data;
    }

    public static TheoryData<FrontEndRequest, string, int> OfFeatures() => new()
    {
        { FrontEndRequest.GetQueueNum, "GET_QUEUE_NUM belongs to the protocol feature Mq", 0 },
        { FrontEndRequest.SetBackEndReqFd, "SET_BACKEND_REQ_FD belongs to the protocol feature BackEndReq", 0 },
        { FrontEndRequest.GetConfig, "GET_CONFIG belongs to the protocol feature Config", 12 },
        { FrontEndRequest.SetConfig, "SET_CONFIG belongs to the protocol feature Config", 12 },
        { FrontEndRequest.ResetDevice, "RESET_DEVICE belongs to the protocol feature ResetDevice", 0 },
        { FrontEndRequest.GetMaxMemSlots, "GET_MAX_MEM_SLOTS belongs to the protocol feature ConfigureMemSlots", 0 },
        { FrontEndRequest.AddMemReg, "ADD_MEM_REG belongs to the protocol feature ConfigureMemSlots", 40 },
        { FrontEndRequest.RemMemReg, "REM_MEM_REG belongs to the protocol feature ConfigureMemSlots", 40 },
        { FrontEndRequest.GetStatus, "GET_STATUS belongs to the protocol feature Status", 0 },
        { FrontEndRequest.SetStatus, "SET_STATUS belongs to the protocol feature Status", 8 },
    };

    [Theory]
    [MemberData(nameof(WrongSizes))]
    public void A_payload_of_the_wrong_size_is_refused_before_it_is_read(FrontEndRequest request, string name, uint size) =>
        AssertRefused($"size = 0x{size:x} of {name}: it has ", frontEnd => frontEnd.SendRaw(Wire.Header((uint)request, Wire.Version, size)));

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(0xFFFFFFFE)]
    public void A_version_other_than_1_is_refused(uint flags) =>
        AssertRefused($"flags = 0x{flags:x} of GET_FEATURES: the version is not 1", frontEnd => frontEnd.SendRaw(Wire.Header(1, flags, 0)));

    [Fact]
    public void A_reply_where_a_request_was_due_is_refused() =>
        AssertRefused("flags = 0x5 of GET_FEATURES: a reply, where a request was due", frontEnd => frontEnd.SendRaw(Wire.Header(1, 5, 0)));

    [Theory]
    [InlineData(0, "request 0")]
    [InlineData(23, "SET_VRING_ENDIAN")]
    [InlineData(33, "GPU_SET_SOCKET")]
    [InlineData(44, "GET_SHMEM_CONFIG")]
    [InlineData(45, "GET_VRING_BASE_SKIP_DRAIN")]
    [InlineData(0x80000001, "request 2147483649")]
    [InlineData(0xFFFFFFFF, "request 4294967295")]
    public void A_request_that_is_not_implemented_is_refused(uint request, string name) =>
        AssertRefused($"{name} is not implemented here", frontEnd => frontEnd.SendRaw(Wire.Header(request, Wire.Version, 0)));

    [Theory]
    [MemberData(nameof(OfFeatures))]
    public void A_message_of_a_feature_that_was_not_negotiated_is_refused(FrontEndRequest request, string expected, int size) =>
        AssertRefused($"{expected}, which was not negotiated", frontEnd => frontEnd.Send(request, new byte[size]));

    [Fact]
    public void Descriptors_where_none_belong_are_refused_and_closed() =>
        AssertRefused("GET_FEATURES came with 1 file descriptors, at most 0 belong there", frontEnd => WithFds(1, fds => frontEnd.Send(FrontEndRequest.GetFeatures, [], fds)));

    [Fact]
    public void Two_descriptors_where_one_belongs_are_refused_and_closed() =>
        AssertRefused("SET_VRING_KICK came with 2 file descriptors, at most 1 belong there", frontEnd => WithFds(2, fds => frontEnd.Send(FrontEndRequest.SetVringKick, Wire.U64(0), fds)));

    [Fact]
    public void Nine_descriptors_for_a_memory_table_are_refused_and_closed() =>
        AssertRefused("SET_MEM_TABLE came with 9 file descriptors, at most 8 belong there", frontEnd => WithFds(9, fds => frontEnd.Send(FrontEndRequest.SetMemTable, Wire.Table(8, Enumerable.Repeat(new Wire.Region(0, 1, 0, 0), 8)), fds)));

    [Fact]
    public void As_many_descriptors_as_the_kernel_allows_are_refused_and_closed() =>
        AssertRefused("SET_OWNER came with 253 file descriptors, at most 0 belong there", frontEnd => WithFds(253, fds => frontEnd.Send(FrontEndRequest.SetOwner, [], fds)));

    [Fact]
    public void Descriptors_with_every_part_of_a_message_are_refused_and_closed() =>
        AssertRefused("file descriptors were lost on the way (MSG_CTRUNC)", frontEnd => WithFds(253, fds =>
        {
            frontEnd.SendRaw(Wire.Header((uint)FrontEndRequest.SetFeatures, Wire.Version, 8), fds);
            frontEnd.SendRaw(Wire.U64(0), fds);
        }));

    [Fact]
    public void A_descriptor_with_a_region_to_be_removed_is_closed()
    {
        Served.AssertServesNext();
        using var leaks = new LeakCheck();
        using (FrontEnd frontEnd = Served.Connect())
        using (var ram = new GuestRam())
        {
            frontEnd.Negotiate();
            int before = ProcessFacts.OpenDescriptorCount;
            for (int i = 0; i < 10; i++)
            {
                frontEnd.AddMemory(ram);
                frontEnd.Do(FrontEndRequest.RemMemReg, Wire.OneRegion(ram.Region), ram.File);
            }

            frontEnd.Barrier();
            Assert.Equal(before, ProcessFacts.OpenDescriptorCount);
        }

        Served.NextReport();
        leaks.AssertNothingIsLeft();
    }

    [Fact]
    public void Features_that_were_not_offered_are_refused() =>
        AssertRefused("SET_FEATURES accepts RING_RESET(40), which was not offered", frontEnd => frontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(FrontEnd.ModernFeatures | 1UL << 40)));

    [Fact]
    public void Protocol_features_that_were_not_offered_are_refused() =>
        AssertRefused("SET_PROTOCOL_FEATURES accepts InbandNotifications, ShmemMap, which was not offered", frontEnd => frontEnd.Send(FrontEndRequest.SetProtocolFeatures, Wire.U64((ulong)(FrontEnd.UsualProtocol | ProtocolFeatures.InbandNotifications | ProtocolFeatures.ShmemMap))));

    [Fact]
    public void A_status_of_more_than_8_bits_is_refused() => AssertRefused("SET_STATUS: status = 0x100 is more than 8 bits", frontEnd =>
    {
        frontEnd.Negotiate();
        frontEnd.Send(FrontEndRequest.SetStatus, Wire.U64(0x100));
    });

    [Theory]
    [InlineData("memfd", "a-memfd")]
    [InlineData("pipe", "pipe:[")]
    [InlineData("eventfd", "anon_inode:[eventfd]")]
    [InlineData("/dev/null", "/dev/null")]
    public void A_back_end_channel_that_is_no_socket_is_refused(string kind, string described) =>
        AssertRefused(["SET_BACKEND_REQ_FD: adopt fd ", described, "not a socket"], frontEnd =>
        {
            frontEnd.Negotiate();
            using FileDescriptor fd = Descriptors.Of(kind);
            Assert.Equal(1UL, frontEnd.Acknowledged(FrontEndRequest.SetBackEndReqFd, [], fd));
        });

    [Fact]
    public void A_back_end_channel_without_its_descriptor_is_refused() => AssertRefused("SET_BACKEND_REQ_FD came without its file descriptor", frontEnd =>
    {
        frontEnd.Negotiate();
        frontEnd.Send(FrontEndRequest.SetBackEndReqFd);
    });

    private static void WithFds(int count, Action<FileDescriptor[]> use)
    {
        FileDescriptor[] fds = [.. Enumerable.Range(0, count).Select(_ => Descriptors.Of("eventfd"))];
        try
        {
            use(fds);
        }
        finally
        {
            Array.ForEach(fds, fd => fd.Dispose());
        }
    }
}

using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Ring messages that cannot be meant: those end the session.</summary>
public sealed class RingMessageTests : HostileTest
{
    public static TheoryData<FrontEndRequest, string> WithState() => new()
    {
        { FrontEndRequest.SetVringNum, "SET_VRING_NUM" },
        { FrontEndRequest.SetVringBase, "SET_VRING_BASE" },
        { FrontEndRequest.GetVringBase, "GET_VRING_BASE" },
        { FrontEndRequest.SetVringEnable, "SET_VRING_ENABLE" },
    };

    public static TheoryData<FrontEndRequest, string> WithDescriptor() => new()
    {
        { FrontEndRequest.SetVringKick, "SET_VRING_KICK" },
        { FrontEndRequest.SetVringCall, "SET_VRING_CALL" },
        { FrontEndRequest.SetVringErr, "SET_VRING_ERR" },
    };

    [Theory]
    [MemberData(nameof(WithState))]
    public void A_ring_that_does_not_exist_is_refused(FrontEndRequest request, string name)
    {
        AssertRefused($"{name}: ring 1 does not exist, the device has 1", frontEnd => frontEnd.Send(request, Wire.State(1, 1)));
        Served.Log.Clear();
        AssertRefused($"{name}: ring 4294967295 does not exist, the device has 1", frontEnd => frontEnd.Send(request, Wire.State(uint.MaxValue, 1)));
    }

    [Fact]
    public void The_address_of_a_ring_that_does_not_exist_is_refused() =>
        AssertRefused("SET_VRING_ADDR: ring 256 does not exist, the device has 1", frontEnd => frontEnd.Send(FrontEndRequest.SetVringAddr, Wire.Address(256, 0, 0, 0)));

    [Theory]
    [MemberData(nameof(WithDescriptor))]
    public void A_descriptor_for_a_ring_that_does_not_exist_is_refused_and_closed(FrontEndRequest request, string name) =>
        AssertRefused($"{name}: ring 255 does not exist, the device has 1", frontEnd =>
        {
            using FileDescriptor fd = Descriptors.Of("eventfd");
            frontEnd.Send(request, Wire.U64(255), fd);
        });

    [Theory]
    [MemberData(nameof(WithDescriptor))]
    public void A_message_that_promises_a_descriptor_and_has_none_is_refused(FrontEndRequest request, string name) =>
        AssertRefused($"{name} came without its file descriptor", frontEnd => frontEnd.Send(request, Wire.U64(0)));

    [Theory]
    [MemberData(nameof(WithDescriptor))]
    public void A_message_that_has_a_descriptor_and_says_it_has_none_is_refused(FrontEndRequest request, string name) =>
        AssertRefused($"{name} says it has no file descriptor, but came with one", frontEnd =>
        {
            using FileDescriptor fd = Descriptors.Of("eventfd");
            frontEnd.Send(request, Wire.U64(Wire.NoFd), fd);
        });

    [Fact]
    public void A_ring_to_be_polled_is_refused() =>
        AssertRefused("SET_VRING_KICK without a descriptor asks for polling", frontEnd => frontEnd.Send(FrontEndRequest.SetVringKick, Wire.U64(Wire.NoFd)));

    [Theory]
    [InlineData(FrontEndRequest.SetVringKick, "pipe", "pipe:[")]
    [InlineData(FrontEndRequest.SetVringKick, "/dev/zero", "/dev/zero")]
    [InlineData(FrontEndRequest.SetVringKick, "regular file", "(deleted)")]
    [InlineData(FrontEndRequest.SetVringKick, "memfd", "/memfd:a-memfd")]
    [InlineData(FrontEndRequest.SetVringCall, "pipe", "pipe:[")]
    [InlineData(FrontEndRequest.SetVringCall, "/dev/zero", "/dev/zero")]
    [InlineData(FrontEndRequest.SetVringErr, "regular file", "(deleted)")]
    public void A_descriptor_that_is_no_eventfd_is_refused(FrontEndRequest request, string kind, string described) =>
        AssertRefused(["SET_VRING_", ": adopt fd ", described, "not an eventfd (EINVAL)"], frontEnd =>
        {
            frontEnd.Negotiate();
            using FileDescriptor fd = Descriptors.Of(kind);
            Assert.Equal(1UL, frontEnd.Acknowledged(request, Wire.U64(0), fd));
        });

    [Theory]
    [InlineData(0u)]
    [InlineData(32769u)]
    [InlineData(65535u)]
    [InlineData(0xFFFFFFFFu)]
    public void A_ring_of_an_impossible_size_is_refused(uint size) =>
        AssertRefused($"ring 0: num = {size} is not in 1…32768", frontEnd => frontEnd.Send(FrontEndRequest.SetVringNum, Wire.State(0, size)));

    [Theory]
    [InlineData(0x10000)]
    [InlineData(0x80008000)] // what a packed ring's would be
    public void A_base_of_more_than_16_bits_is_refused(uint at) =>
        AssertRefused($"ring 0: base = 0x{at:x} is more than 16 bits", frontEnd => frontEnd.Send(FrontEndRequest.SetVringBase, Wire.State(0, at)));
}

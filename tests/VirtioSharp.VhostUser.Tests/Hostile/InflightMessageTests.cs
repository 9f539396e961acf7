using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Claims about in-flight memory that cannot be meant.</summary>
public sealed class InflightMessageTests : HostileTest
{
    [Theory]
    [InlineData(FrontEndRequest.GetInflightFd, 0, 256, "GET_INFLIGHT_FD: num queues = 0, the device has 1")]
    [InlineData(FrontEndRequest.GetInflightFd, 0xFFFF, 256, "GET_INFLIGHT_FD: num queues = 65535, the device has 1")]
    [InlineData(FrontEndRequest.GetInflightFd, 1, 0, "GET_INFLIGHT_FD: queue size = 0")]
    [InlineData(FrontEndRequest.GetInflightFd, 1, 32769, "GET_INFLIGHT_FD: queue size = 32769")]
    [InlineData(FrontEndRequest.SetInflightFd, 2, 256, "SET_INFLIGHT_FD: num queues = 2, the device has 1")]
    [InlineData(FrontEndRequest.SetInflightFd, 1, 0xFFFF, "SET_INFLIGHT_FD: queue size = 65535")]
    public void Counts_that_cannot_be_are_refused(FrontEndRequest request, int queues, int size, string expected) =>
        AssertRefused(expected, frontEnd => Send(frontEnd, request, ulong.MaxValue, 0, queues, size));

    [Theory]
    [InlineData(4159, 0, "mmap size = 4159, but 1 queues of 256 need 4160 bytes")]
    [InlineData(0, 0, "mmap size = 0, but 1 queues of 256 need 4160 bytes")]
    [InlineData(4160, 4, "mmap offset = 0x4 is not aligned to 8")]
    [InlineData(4160, 4096, "is not within the file's 8192 bytes")]
    [InlineData(ulong.MaxValue, 0, "mmap size = 18446744073709551615")]
    [InlineData(4160, ulong.MaxValue - 7, "mmap offset = 0xfffffffffffffff8")]
    public void Memory_that_is_not_there_is_refused(ulong size, ulong offset, string expected) =>
        AssertRefused(["SET_INFLIGHT_FD: ", expected], frontEnd => Send(frontEnd, FrontEndRequest.SetInflightFd, size, offset, 1, 256));

    [Fact]
    public void SET_INFLIGHT_FD_without_its_descriptor_is_refused() =>
        AssertRefused("SET_INFLIGHT_FD came without its file descriptor", frontEnd =>
        {
            frontEnd.Negotiate();
            frontEnd.Send(FrontEndRequest.SetInflightFd, Wire.Inflight(4160, 0, 1, 256));
        });

    [Theory]
    [InlineData(FrontEndRequest.GetInflightFd, 1, "GET_INFLIGHT_FD came with 1 file descriptors, at most 0 belong there")]
    [InlineData(FrontEndRequest.SetInflightFd, 2, "SET_INFLIGHT_FD came with 2 file descriptors, at most 1 belong there")]
    public void Too_many_descriptors_are_refused_and_closed(FrontEndRequest request, int count, string expected) =>
        AssertRefused(expected, frontEnd =>
        {
            frontEnd.Negotiate();
            using FileDescriptor file = MemFd.Create("in flight", 8192);
            frontEnd.Send(request, Wire.Inflight(4160, 0, 1, 256), [.. Enumerable.Repeat(file, count)]);
        });

    [Theory]
    [InlineData("pipe")]
    [InlineData("eventfd")]
    public void A_descriptor_that_is_no_memory_is_refused(string kind) =>
        AssertRefused("SET_INFLIGHT_FD: mmap size", frontEnd =>
        {
            frontEnd.Negotiate();
            using FileDescriptor file = Descriptors.Of(kind);
            frontEnd.Send(FrontEndRequest.SetInflightFd, Wire.Inflight(4160, 0, 1, 256), file);
        });

    private static void Send(FrontEnd frontEnd, FrontEndRequest request, ulong size, ulong offset, int queues, int queueSize)
    {
        frontEnd.Negotiate();
        byte[] payload = Wire.Inflight(size, offset, (ushort)queues, (ushort)queueSize);
        using FileDescriptor file = MemFd.Create("in flight", 8192);
        if (request == FrontEndRequest.SetInflightFd)
            frontEnd.Send(request, payload, file);
        else
            frontEnd.Send(request, payload);
    }
}

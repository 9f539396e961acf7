using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Logs of dirty pages that cannot be used.</summary>
public sealed class LogMessageTests : HostileTest
{
    private const int Bytes = 0x9000; // the test's memory needs 0x8020

    [Theory]
    [InlineData(0x801F, 0, "the log has 32799 bytes; memory reaches to 0x400fffff and needs 32800")]
    [InlineData(0, 0, "the log has 0 bytes; memory reaches to 0x400fffff")]
    [InlineData(Bytes, 4, "SET_LOG_BASE: offset = 0x4 is not aligned to 8")]
    [InlineData(Bytes, 8, "SET_LOG_BASE: size = 36864, offset = 0x8:")]
    [InlineData(ulong.MaxValue, 0, "SET_LOG_BASE: size = 18446744073709551615, offset = 0x0:")]
    [InlineData(Bytes, ulong.MaxValue - 7, "SET_LOG_BASE: size = 36864, offset = 0xfffffffffffffff8:")]
    public void A_log_that_is_too_small_or_not_there_is_refused(ulong size, ulong offset, string expected) => AssertRefused(expected, frontEnd =>
    {
        using var ram = new GuestRam();
        frontEnd.Negotiate();
        frontEnd.AddMemory(ram);
        using FileDescriptor file = MemFd.Create("log", Bytes);
        frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(size, offset), file);
    });

    [Theory]
    [InlineData(FrontEndRequest.SetLogBase, "SET_LOG_BASE", 16)]
    [InlineData(FrontEndRequest.SetLogFd, "SET_LOG_FD", 0)]
    public void Without_its_descriptor_or_with_two_it_is_refused(FrontEndRequest request, string name, int bytes)
    {
        AssertRefused($"{name} came without its file descriptor", frontEnd =>
        {
            frontEnd.Negotiate();
            frontEnd.Send(request, new byte[bytes]);
        });
        Served.Log.Clear();
        AssertRefused($"{name} came with 2 file descriptors, at most 1 belong there", frontEnd =>
        {
            frontEnd.Negotiate();
            using FileDescriptor one = Descriptors.Of("eventfd"), other = Descriptors.Of("memfd");
            frontEnd.Send(request, new byte[bytes], one, other);
        });
    }

    [Fact]
    public void A_signal_that_is_no_eventfd_is_refused() => AssertRefused("SET_LOG_FD: ", frontEnd =>
    {
        frontEnd.Negotiate();
        using FileDescriptor pipe = Descriptors.Of("pipe");
        frontEnd.Send(FrontEndRequest.SetLogFd, [], pipe);
    });

    [Fact]
    public void A_log_that_was_not_negotiated_is_refused() => AssertRefused("SET_LOG_BASE belongs to the protocol feature LogShmfd", frontEnd =>
    {
        frontEnd.Negotiate(FrontEnd.UsualProtocol & ~ProtocolFeatures.LogShmfd);
        using FileDescriptor file = MemFd.Create("log", Bytes);
        frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(Bytes, 0), file);
    });
}

namespace VirtioSharp.Linux.Tests;

public sealed class LinuxExceptionTests
{
    [Fact]
    public void The_message_says_what_was_tried_on_what_and_why_not()
    {
        LinuxException failure = new(Errno.EADDRINUSE, "bind /tmp/x.sock");

        Assert.Equal("bind /tmp/x.sock: address already in use (EADDRINUSE)", failure.Message);
        Assert.Equal("bind /tmp/x.sock", failure.Call);
        Assert.Equal(Errno.EADDRINUSE, failure.Errno);
    }

    [Fact]
    public void An_errno_without_a_name_is_told_by_its_number() =>
        Assert.Equal("mount: file descriptor in bad state (errno 77)", new LinuxException((Errno)77, "mount").Message);

    [Theory]
    [InlineData(Errno.EPERM, "operation not permitted")]
    [InlineData(Errno.ENXIO, "no such device or address")]
    [InlineData(Errno.EAGAIN, "resource temporarily unavailable")]
    [InlineData(Errno.ENAMETOOLONG, "file name too long")]
    [InlineData(Errno.ENOTSOCK, "socket operation on non-socket")]
    [InlineData(Errno.EPROTOTYPE, "protocol wrong type for socket")]
    [InlineData(Errno.EOPNOTSUPP, "operation not supported")]
    [InlineData(Errno.ECONNABORTED, "software caused connection abort")]
    [InlineData(Errno.ECONNRESET, "connection reset by peer")]
    [InlineData(Errno.ECONNREFUSED, "connection refused")]
    public void Our_names_stand_for_the_numbers_the_system_means(Errno errno, string text)
    {
        string message = new LinuxException(errno, "call").Message;

        if (!OperatingSystem.IsLinux() || File.Exists("/lib/ld-musl-x86_64.so.1") || File.Exists("/lib/ld-musl-aarch64.so.1"))
            Assert.Skip("musl words its errors differently");
        Assert.Equal($"call: {text} ({errno})", message);
    }

    [Fact]
    public void An_acronym_keeps_its_capitals()
    {
        string message = new LinuxException(Errno.EIO, "read").Message;

        Assert.DoesNotContain("i/O", message, StringComparison.Ordinal);
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>Descriptors of every sort that a front-end might send, rightly or wrongly.</summary>
internal static partial class Descriptors
{
    private const int ReadWrite = 2, CloseOnExec = 0x80000;

    /// <summary>A pipe's reading end; its writing end is closed, so that it is always ready.</summary>
    public static unsafe FileDescriptor Pipe()
    {
        int* ends = stackalloc int[2];
        if (pipe2(ends, CloseOnExec) != 0)
            throw new LinuxException(Errno.EMFILE, "pipe2");
        FileDescriptor.Adopt(ends[1]).Dispose();
        return FileDescriptor.Adopt(ends[0]);
    }

    public static FileDescriptor Open(string path)
    {
        int fd = open(path, ReadWrite | CloseOnExec);
        return fd >= 0 ? FileDescriptor.Adopt(fd) : throw new LinuxException(Errno.ENOENT, $"open {path}");
    }

    /// <summary>An ordinary file of some bytes, without a name.</summary>
    public static FileDescriptor RegularFile(long bytes)
    {
        string path = Path.GetTempFileName();
        FileDescriptor file = Open(path);
        File.Delete(path);
        MemFd.Resize(file, bytes);
        return file;
    }

    public static FileDescriptor Of(string kind) => kind switch
    {
        "pipe" => Pipe(),
        "eventfd" => EventFd.Create().Descriptor,
        "memfd" => MemFd.Create("a-memfd", 4096),
        "regular file" => RegularFile(4096),
        _ => Open(kind),
    };

    /// <summary>shutdown(2): the peer reads the end, and may still write.</summary>
    public static void EndSending(FileDescriptor socket) => Xunit.Assert.Equal(0, shutdown(socket.Number, 1));

    /// <summary>The same in both directions: whoever waits here for the peer reads the end, too.</summary>
    public static void End(FileDescriptor socket) => _ = shutdown(socket.Number, 2);

    [LibraryImport("libc")]
    private static partial int shutdown(int socket, int how);

    [LibraryImport("libc")]
    private static unsafe partial int pipe2(int* ends, int flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);
}

using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>Puts another open file under a descriptor's number for a while: the kernel's own refusals, where a failing disk would be needed.</summary>
internal sealed unsafe partial class OtherFile : IDisposable
{
    private const int O_CLOEXEC = 0x80000;

    private readonly int _number;
    private readonly FileDescriptor _original;

    private OtherFile(int number, FileDescriptor other)
    {
        (_number, _original) = (number, FileDescriptor.Adopt(Duplicate(number)));
        Assert.Equal(number, Duplicate(other.Number, number));
    }

    /// <summary>A pipe, which cannot be flushed (EINVAL).</summary>
    public static OtherFile Pipe(int number)
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, OpenPipe(ends, O_CLOEXEC));
        using FileDescriptor reader = FileDescriptor.Adopt(ends[0]), writer = FileDescriptor.Adopt(ends[1]);
        return new OtherFile(number, reader);
    }

    /// <summary>A file whose reads take their time and may not: an io_uring ends them with EAGAIN, a system call reads it.</summary>
    public static OtherFile NonBlocking(int number)
    {
        const int O_NONBLOCK = 0x800;
        using FileDescriptor memory = FileDescriptor.Adopt(OpenFile("/proc/self/smaps", O_NONBLOCK | O_CLOEXEC));
        return new OtherFile(number, memory);
    }

    /// <summary>The same file, opened for reading: it can be flushed, and writes fail (EBADF).</summary>
    public static OtherFile ReadOnly(int number, string path)
    {
        using FileDescriptor reader = FileDescriptor.Adopt(OpenFile(path, O_CLOEXEC));
        return new OtherFile(number, reader);
    }

    /// <summary>Puts the file back.</summary>
    public void Dispose()
    {
        Assert.Equal(_number, Duplicate(_original.Number, _number));
        _original.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Duplicate(int from);

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Duplicate(int from, int to);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags);

    [LibraryImport("libc", EntryPoint = "pipe2")]
    private static partial int OpenPipe(int* ends, int flags);
}

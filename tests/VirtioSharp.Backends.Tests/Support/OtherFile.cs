using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>Puts another open file under a descriptor's number for a while: the kernel's own refusals, where a failing disk would be needed.</summary>
internal sealed unsafe partial class OtherFile : IDisposable
{
    private readonly int _number;
    private readonly FileDescriptor _original, _writer;

    private OtherFile(int number, FileDescriptor other, FileDescriptor writer)
    {
        (_number, _original, _writer) = (number, FileDescriptor.Adopt(Duplicate(number)), writer);
        Assert.Equal(number, Duplicate(other.Number, number));
    }

    /// <summary>A pipe that never has anything: it cannot be flushed (EINVAL), and reads from it do not wait (EAGAIN).</summary>
    public static OtherFile EmptyPipe(int number)
    {
        const int O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;
        int* ends = stackalloc int[2];
        Assert.Equal(0, Pipe(ends, O_NONBLOCK | O_CLOEXEC));
        using FileDescriptor reader = FileDescriptor.Adopt(ends[0]);
        return new OtherFile(number, reader, FileDescriptor.Adopt(ends[1]));
    }

    /// <summary>Puts the file back.</summary>
    public void Dispose()
    {
        Assert.Equal(_number, Duplicate(_original.Number, _number));
        _original.Dispose();
        _writer.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Duplicate(int from);

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Duplicate(int from, int to);

    [LibraryImport("libc", EntryPoint = "pipe2")]
    private static partial int Pipe(int* ends, int flags);
}

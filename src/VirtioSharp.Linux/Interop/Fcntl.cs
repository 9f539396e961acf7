using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;fcntl.h&gt;: fcntl(2). Variadic, and called like any other function on the Linux ABIs of x64 and arm64.</summary>
internal static partial class Fcntl
{
    public const int F_GETFL = 3;
    public const int F_SETFL = 4;
    public const int F_DUPFD_CLOEXEC = 1030;
    public const int F_ADD_SEALS = 1033;
    public const int F_GET_SEALS = 1034;
    public const int O_RDONLY = 0;
    public const int O_NONBLOCK = 0x800;
    public const int O_CLOEXEC = 0x80000;

    [LibraryImport(Libc.Name)]
    public static partial int fcntl(FileDescriptor fd, int command, nint argument);

    // Variadic in C; without O_CREAT its third argument is not looked at.
    [LibraryImport(Libc.Name, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags);
}

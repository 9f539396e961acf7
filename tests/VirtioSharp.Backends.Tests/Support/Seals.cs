using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>Makes a memory file refuse writes from now on, also by descriptors that are open: how a full or failing disk looks.</summary>
internal static partial class Seals
{
    public static void ForbidWrites(FileDescriptor memory)
    {
        const int F_ADD_SEALS = 1033;
        const int F_SEAL_WRITE = 8;
        Assert.Equal(0, FileControl(memory.Number, F_ADD_SEALS, F_SEAL_WRITE));
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FileControl(int fd, int command, nint argument);
}

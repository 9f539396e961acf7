using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/eventfd.h&gt;: eventfd(2).</summary>
internal static partial class SysEventFd
{
    public const int EFD_NONBLOCK = 0x800;
    public const int EFD_CLOEXEC = 0x80000;

    [LibraryImport(Libc.Name)]
    public static partial int eventfd(uint initial, int flags);
}

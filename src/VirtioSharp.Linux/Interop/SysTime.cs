using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;time.h&gt;: clock_gettime(2).</summary>
internal static unsafe partial class SysTime
{
    [LibraryImport(Libc.Name)]
    public static partial int clock_getcpuclockid(int pid, int* clock);

    [LibraryImport(Libc.Name)]
    public static partial int clock_gettime(int clock, SysPoll.Timespec* time);
}

using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/random.h&gt;: getrandom(2).</summary>
internal static unsafe partial class SysRandom
{
    [LibraryImport(Libc.Name)]
    public static partial nint getrandom(void* buffer, nuint length, uint flags);
}

using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;signal.h&gt;: sigaction(2), as glibc and musl lay it out on 64-bit machines.</summary>
internal static unsafe partial class SysSignal
{
    public const int SIGBUS = 7;
    public const int SA_SIGINFO = 4;

    [LibraryImport(Libc.Name, SetLastError = true)]
    public static partial int sigaction(int signal, SignalAction* action, SignalAction* old);

    [StructLayout(LayoutKind.Sequential)]
    public struct SignalAction
    {
        public nint Handler;
        public fixed ulong Mask[16];
        public int Flags;
        public nint Restorer; // the C library's own
    }
}

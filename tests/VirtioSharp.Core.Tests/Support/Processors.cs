using System.Numerics;
using System.Runtime.InteropServices;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Puts threads on processors of their own: on a busy machine two that wait for each other end up on one.</summary>
internal static partial class Processors
{
    /// <summary>Binds the calling thread to one of the first 64 processors this process may use, where that can be done.</summary>
    public static void Take(int number)
    {
        if (!OperatingSystem.IsLinux() || sched_getaffinity(0, sizeof(ulong), out ulong allowed) < 0)
            return;
        for (; number > 0 && BitOperations.PopCount(allowed) > 1; number--)
            allowed &= allowed - 1;
        ulong one = allowed & (~allowed + 1);
        _ = sched_setaffinity(0, sizeof(ulong), in one);
    }

    [LibraryImport("libc")]
    private static partial int sched_getaffinity(int thread, nint size, out ulong mask);

    [LibraryImport("libc")]
    private static partial int sched_setaffinity(int thread, nint size, in ulong mask);
}

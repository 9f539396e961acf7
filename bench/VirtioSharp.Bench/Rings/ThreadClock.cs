using System.Runtime.InteropServices;

namespace VirtioSharp.Bench.Rings;

/// <summary>Time and interruptions of the calling thread, and the processor it runs on.</summary>
internal static unsafe partial class ThreadClock
{
    private const int ThreadCpuTime = 3, ThisThread = 1;

    private struct Timespec
    {
        public long Seconds, Nanoseconds;
    }

    /// <summary>Nanoseconds that the thread has run: what others took from it does not count.</summary>
    public static long CpuNanoseconds
    {
        get
        {
            Timespec time;
            _ = clock_gettime(ThreadCpuTime, &time);
            return time.Seconds * 1_000_000_000 + time.Nanoseconds;
        }
    }

    /// <summary>How often the thread has had to give way to another.</summary>
    public static long Preemptions
    {
        get
        {
            long* usage = stackalloc long[18]; // struct rusage; its last word is ru_nivcsw
            _ = getrusage(ThisThread, usage);
            return usage[17];
        }
    }

    /// <summary>Keeps the calling thread on one processor, if there are as many.</summary>
    public static void Pin(int processor)
    {
        ulong* mask = stackalloc ulong[16];
        new Span<ulong>(mask, 16).Clear();
        mask[processor / 64] = 1UL << processor % 64;
        if (sched_setaffinity(0, 128, mask) != 0)
            Console.Error.WriteLine($"the thread could not be pinned to processor {processor}");
    }

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, Timespec* time);

    [LibraryImport("libc")]
    private static partial int getrusage(int who, long* usage);

    [LibraryImport("libc")]
    private static partial int sched_setaffinity(int thread, nuint bytes, ulong* mask);
}

using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Processor time of another process (clock_getcpuclockid(3)): in nanoseconds, where /proc counts hundredths of a second.</summary>
public static unsafe class ProcessClock
{
    /// <summary>What all threads of a process have used so far, the kernel's work for them included.</summary>
    /// <param name="processId">Which process.</param>
    /// <returns>Null when there is no such process.</returns>
    public static TimeSpan? Read(int processId)
    {
        int clock;
        SysPoll.Timespec time;
        // It returns the error, and does not set errno. 0 would be this process.
        if (processId <= 0 || SysTime.clock_getcpuclockid(processId, &clock) != 0 || SysTime.clock_gettime(clock, &time) != 0)
            return null;
        return TimeSpan.FromTicks(time.Seconds * TimeSpan.TicksPerSecond + time.Nanoseconds / TimeSpan.NanosecondsPerTick);
    }
}

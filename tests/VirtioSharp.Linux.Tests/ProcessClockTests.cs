using System.Diagnostics;

namespace VirtioSharp.Linux.Tests;

public sealed class ProcessClockTests
{
    [Fact]
    public void It_tells_what_the_process_used_as_the_runtime_does()
    {
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        TimeSpan? now = ProcessClock.Read(Environment.ProcessId);
        TimeSpan after = Process.GetCurrentProcess().TotalProcessorTime;

        var tick = TimeSpan.FromMilliseconds(20); // the runtime reads hundredths of a second, twice: user and system
        Assert.NotNull(now);
        Assert.InRange(now.Value, before - tick, after + tick);
    }

    [Fact]
    public void Another_process_has_its_own_time_and_none_when_it_is_gone()
    {
        using Process busy = Process.Start("/bin/sh", ["-c", "while :; do :; done"]);
        TimeSpan used;
        try
        {
            var patience = Stopwatch.StartNew();
            do
                used = ProcessClock.Read(busy.Id) ?? TimeSpan.Zero;
            while (used < TimeSpan.FromMilliseconds(50) && patience.Elapsed < TimeSpan.FromSeconds(60));
        }
        finally
        {
            busy.Kill();
            busy.WaitForExit();
        }

        Assert.InRange(used, TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(60));
        Assert.Null(ProcessClock.Read(busy.Id));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void What_names_no_process_has_none(int process)
    {
        Assert.Null(ProcessClock.Read(process));
    }
}

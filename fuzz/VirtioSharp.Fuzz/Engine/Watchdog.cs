namespace VirtioSharp.Fuzz.Engine;

/// <summary>Ends the process when one input takes a second of processor time, or half a minute in all; the launcher then reports the input.</summary>
/// <remarks>Processor time, so that a busy machine is not taken for an endless loop.</remarks>
internal sealed class Watchdog
{
    public const int ExitCode = 77;

    private static readonly TimeSpan MostProcessorTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(30);

    private long _run;

    public Watchdog() => new Thread(Watch) { IsBackground = true, Name = "watchdog" }.Start();

    /// <summary>The next input begins.</summary>
    public void Next() => Volatile.Write(ref _run, _run + 1);

    /// <summary>Nothing runs that needs watching.</summary>
    public void Rest() => Volatile.Write(ref _run, 0);

    private void Watch()
    {
        long seen = 0;
        TimeSpan processor = default;
        long since = 0;
        while (true)
        {
            Thread.Sleep(200);
            long run = Volatile.Read(ref _run);
            if (run != seen || run == 0)
            {
                (seen, processor, since) = (run, Environment.CpuUsage.TotalTime, Environment.TickCount64);
                continue;
            }

            if (Environment.CpuUsage.TotalTime - processor > MostProcessorTime || Environment.TickCount64 - since > MostTime.TotalMilliseconds)
                Environment.Exit(ExitCode);
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>One front-end after the other: nothing of any of them stays.</summary>
/// <remarks>VIRTIOSHARP_RECONNECTS says how many.</remarks>
[Collection(Alone.Name)]
public sealed class ReconnectionTests
{
    private const int Sessions = 10_000, WarmUp = 500;

    /// <summary>A hundred bytes for each session are less than any part of one that stayed behind.</summary>
    private const long SmallGrowth = Sessions * 100;

    [Fact]
    [Proves("Reconnect", "vhost-user")]
    public void Ten_thousand_sessions_leave_descriptors_threads_and_memory_as_they_were()
    {
        int sessions = int.Parse(Environment.GetEnvironmentVariable("VIRTIOSHARP_RECONNECTS") ?? $"{Sessions}", CultureInfo.InvariantCulture);
        using var served = new ServedDevice();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        Run(WarmUp);
        long before = Memory();
        using var leaks = new LeakCheck(holdOffCollector: false);
        long start = Stopwatch.GetTimestamp();

        Run(sessions);

        TimeSpan took = Stopwatch.GetElapsedTime(start);
        leaks.AssertNothingIsLeft();
        long grown = Memory() - before;
        Assert.True(grown < SmallGrowth, $"{grown} bytes more are held after {sessions} sessions");
        Console.WriteLine($"   {sessions} sessions in {took.TotalSeconds:F1} s, each with a request served; {grown} bytes of managed memory more, descriptors and threads as before");

        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                using (FrontEnd frontEnd = served.Connect())
                {
                    ring.Restart();
                    frontEnd.Start(ram, ring);
                    ring.AssertServes();
                }

                Assert.Null(served.NextReport().Ended);
                served.Forget();
            }
        }

        static long Memory() => GC.GetTotalMemory(forceFullCollection: true);
    }
}

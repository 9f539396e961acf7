using System.Diagnostics;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>How long a test waits for what must come. No test is about time: this only ends those that would hang.</summary>
internal static class Patience
{
    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(30);

    /// <summary>Waits until something holds.</summary>
    /// <returns>False when it never did.</returns>
    public static bool Until(Func<bool> holds)
    {
        long start = Stopwatch.GetTimestamp();
        while (!holds())
        {
            if (Stopwatch.GetElapsedTime(start) > Limit)
                return false;
            Thread.Sleep(1);
        }

        return true;
    }
}

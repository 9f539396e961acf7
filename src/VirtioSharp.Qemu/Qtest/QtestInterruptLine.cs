using System.Diagnostics;
using VirtioSharp.Transports;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>An input of the interrupt controller that QEMU tells of instead of raising it.</summary>
internal sealed class QtestInterruptLine(QtestClient qtest, int number) : IInterruptLine
{
    private static readonly TimeSpan LongestSleep = TimeSpan.FromSeconds(10); // poll counts milliseconds in 31 bits

    public bool IsRaised => qtest.IsRaised(number);

    public bool Wait(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        while (!qtest.HasRaised(number))
        {
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            // A change comes as a line on the socket, so it can be slept on.
            if (left <= TimeSpan.Zero || !qtest.Sleep(left < LongestSleep ? left : LongestSleep))
                return false;
        }

        return true;
    }
}

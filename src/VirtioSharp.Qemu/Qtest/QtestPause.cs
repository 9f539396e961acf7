namespace VirtioSharp.Qemu.Qtest;

/// <summary>The time between two looks at memory that QEMU writes to: short at first, since a device of QEMU answers in
/// some tens of microseconds, then in steps that cost the computer little. A line from QEMU ends a step.</summary>
internal struct QtestPause(QtestClient qtest)
{
    private const int ShortPauses = 200;
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(1);
    private int _pauses;

    /// <summary>Lets some time pass.</summary>
    /// <param name="atMost">No longer than this.</param>
    /// <returns>False when nothing can come from QEMU any more.</returns>
    public bool Next(TimeSpan atMost)
    {
        if (_pauses++ >= ShortPauses)
            return qtest.Sleep(atMost < Step ? atMost : Step);
        Thread.Yield(); // with few cores QEMU may be waiting for this one
        return true;
    }
}

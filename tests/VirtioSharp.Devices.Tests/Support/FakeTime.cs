namespace VirtioSharp.Devices.Tests.Support;

/// <summary>A clock that goes on only when it is told to, and by <paramref name="step"/> each time somebody looks.</summary>
internal sealed class FakeTime(TimeSpan step = default) : TimeProvider
{
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _ticks += step.Ticks;

    public void Advance(TimeSpan time) => _ticks += time.Ticks;
}

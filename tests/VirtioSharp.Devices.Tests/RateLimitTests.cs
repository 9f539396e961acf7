using FsCheck;
using FsCheck.Fluent;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Devices.Tests;

[Proves("Rate limit", "in process")]
public sealed class RateLimitTests
{
    [Fact]
    public void Never_more_bytes_are_given_than_the_periods_so_far_allow() =>
        Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            int most = random.Next(1, 1000);
            TimeSpan period = TimeSpan.FromTicks(random.Next(1, 10_000));
            var time = new FakeTime();
            var limit = new RateLimit(most, period);
            long given = 0, elapsed = 0;
            for (int i = 0; i < 500; i++)
            {
                int available = limit.Available(time, random.Next(2000));
                int taken = random.Next(available + 1);
                limit.Take(taken);
                given += taken;
                if (given > most * (1 + elapsed / period.Ticks))
                    return false;
                long pause = random.NextInt64(period.Ticks);
                elapsed += pause;
                time.Advance(TimeSpan.FromTicks(pause));
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Who_used_up_a_period_has_to_wait_for_the_rest_of_it()
    {
        var time = new FakeTime();
        var limit = new RateLimit(100, TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.Zero, limit.UntilRefill(time));
        Assert.Equal(60, limit.Available(time, 60));
        limit.Take(60);
        Assert.Equal(40, limit.Available(time, 60));
        limit.Take(40);

        time.Advance(TimeSpan.FromMilliseconds(300));
        Assert.Equal(0, limit.Available(time, 60));
        Assert.Equal(TimeSpan.FromMilliseconds(700), limit.UntilRefill(time));
        time.Advance(TimeSpan.FromMilliseconds(700));

        Assert.Equal(100, limit.Available(time, 1000));
    }

    [Fact]
    public void Unused_bytes_are_not_saved_up()
    {
        var time = new FakeTime();
        var limit = new RateLimit(100, TimeSpan.FromSeconds(1));

        time.Advance(TimeSpan.FromHours(1));

        Assert.Equal(100, limit.Available(time, int.MaxValue));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(-1, 1)]
    [InlineData(1, 0)]
    [InlineData(1, -1)]
    public void A_limit_without_bytes_or_time_is_refused(int bytes, int ticks) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new RateLimit(bytes, TimeSpan.FromTicks(ticks)));
}

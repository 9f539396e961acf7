namespace VirtioSharp.Bench.Rings;

/// <summary>Lets the two languages drive each other's rings: requests carry numbers, and every answer is checked.</summary>
internal static class Interop
{
    /// <summary>Sends <paramref name="chains"/> requests in batches of random size, and serves them in others.</summary>
    /// <returns>Null when all went well; else what did not.</returns>
    public static string? Check(Talk talk, long chains, int seed)
    {
        var random = new Random(seed);
        long sent = 0, answered = 0;
        while (answered < chains)
        {
            sent += talk.Driver.Submit((int)Math.Min(random.Next(1, 100), chains - sent));
            long served = talk.Device.Serve(random.Next(1, 100), random.Next(1, 20), wait: false);
            if (served < 0)
                return $"the device fails with {served} after {answered} requests";
            long got = talk.Driver.Collect();
            if (got < 0)
                return $"the driver fails with {got} after {answered} requests";
            if (served == 0 && got == 0 && sent == answered)
                return $"no request fits in after {answered}";
            answered += got;
        }

        return null;
    }
}

namespace VirtioSharp.Guest.Tests;

/// <summary>
/// A file of bytes that nobody could guess, for <c>--rng-source</c>: what a guest read can be found in it, so every
/// byte's way from the device to the guest is proved.
/// </summary>
internal sealed class KnownSource
{
    // The guest's driver asks for 64 bytes at a time, and early randomness takes 32 of them: gaps begin and end there.
    private const int SmallestRun = 32;

    private readonly byte[] _bytes;

    public KnownSource(string path, int length)
    {
        _bytes = new byte[length];
        new Random(length).NextBytes(_bytes);
        File.WriteAllBytes(path, _bytes);
        Path = path;
    }

    public string Path { get; }

    /// <summary>
    /// Asserts that these bytes come from the source, in order. The guest's kernel takes some for its own pool, so there
    /// may be gaps.
    /// </summary>
    /// <returns>How many bytes were skipped.</returns>
    public int AssertContains(ReadOnlySpan<byte> read)
    {
        ReadOnlySpan<byte> source = _bytes;
        int skipped = 0;
        for (int done = 0; done < read.Length;)
        {
            ReadOnlySpan<byte> rest = read[done..];
            int gap = rest.Length < SmallestRun ? -1 : source.IndexOf(rest[..SmallestRun]);
            Assert.True(gap >= 0, $"byte {done} of what the guest read, and what follows it, did not come next from the device");
            int run = rest.CommonPrefixLength(source[gap..]);
            source = source[(gap + run)..];
            (skipped, done) = (skipped + gap, done + run);
        }

        return skipped;
    }
}

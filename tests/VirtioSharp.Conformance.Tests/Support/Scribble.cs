using VirtioSharp.Drivers.Block;
using Xunit;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>Random writes to random places of a disk, each read back at once.</summary>
internal static class Scribble
{
    private const int Times = 30;

    /// <summary>Writes, one time in five longer than else.</summary>
    /// <param name="driver">The disk's.</param>
    /// <param name="sectors">Its length.</param>
    /// <param name="unit">Sectors that belong together.</param>
    /// <param name="usual">Less units than this in a write.</param>
    /// <param name="longest">Less than this in a long one.</param>
    /// <returns>What the disk must hold, if it was empty before.</returns>
    public static byte[] Over(BlockDriver driver, int sectors, int unit, int usual, int longest)
    {
        var random = new Random(1);
        byte[] model = new byte[sectors * 512];
        for (int i = 0; i < Times; i++)
        {
            int length = random.Next(1, i % 5 == 0 ? longest : usual) * unit, start = random.Next(0, (sectors - length) / unit) * unit;
            Span<byte> data = model.AsSpan(start * 512, length * 512);
            random.NextBytes(data);
            driver.Write((ulong)start, data);
            byte[] read = new byte[data.Length];
            driver.Read((ulong)start, read);
            Assert.True(data.SequenceEqual(read));
        }

        driver.Flush();
        return model;
    }
}

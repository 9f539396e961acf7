using System.Globalization;

namespace VirtioSharp.Cli.Output;

/// <summary>A number of bytes as people give it: with a unit of 1024s behind it.</summary>
internal static class ByteSize
{
    /// <exception cref="UserException">It is none.</exception>
    public static long Parse(string option, string size)
    {
        const string Units = "KMGTP";
        int unit = size.Length == 0 ? -1 : Units.IndexOf(char.ToUpperInvariant(size[^1]), StringComparison.Ordinal);
        string digits = unit < 0 ? size : size[..^1];
        int shift = 10 * (unit + 1);
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number <= long.MaxValue >> shift
            ? number << shift
            : throw new UserException($"{option} {size}: give a number of bytes, with K, M, G, T or P behind it if you like", ExitCode.Usage);
    }
}

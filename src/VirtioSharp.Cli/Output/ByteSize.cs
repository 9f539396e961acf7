using System.Globalization;

namespace VirtioSharp.Cli.Output;

/// <summary>A number of bytes as people give it, with a unit of 1024s behind it if they like: <c>64G</c>.</summary>
internal static class ByteSize
{
    public const string Hint = "give a number of bytes, with K, M, G, T or P behind it if you like";

    /// <exception cref="UserException">It is none.</exception>
    public static long Parse(string option, string size) =>
        TryParse(size, out ulong bytes) ? (long)bytes : throw new UserException($"{option} {size}: {Hint}", ExitCode.Usage);

    /// <summary>At most what a <see cref="long"/> holds.</summary>
    public static bool TryParse(string size, out ulong bytes)
    {
        const string Units = "KMGTP";
        int unit = size.Length == 0 ? -1 : Units.IndexOf(char.ToUpperInvariant(size[^1]), StringComparison.Ordinal);
        string digits = unit < 0 ? size : size[..^1];
        int shift = 10 * (unit + 1);
        bool fits = ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number <= (ulong)long.MaxValue >> shift;
        bytes = fits ? number << shift : 0;
        return fits;
    }
}

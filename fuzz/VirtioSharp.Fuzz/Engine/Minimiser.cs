namespace VirtioSharp.Fuzz.Engine;

/// <summary>Makes an input shorter and plainer while it keeps what is interesting about it.</summary>
internal static class Minimiser
{
    /// <param name="input">Where to begin.</param>
    /// <param name="keeps">Whether an input still has it.</param>
    /// <param name="tries">How often that may be asked.</param>
    public static byte[] Minimise(byte[] input, Predicate<byte[]> keeps, int tries)
    {
        for (int size = Math.Max(1, input.Length / 2); size > 0 && tries > 0; size /= 2)
        {
            for (int at = input.Length - size; at >= 0 && tries > 0; at -= size, tries--)
            {
                byte[] shorter = [.. input.AsSpan(0, at), .. input.AsSpan(at + size)];
                if (keeps(shorter))
                    input = shorter;
                at = Math.Min(at, input.Length);
            }
        }

        for (int at = 0; at < input.Length && tries > 0; at++)
        {
            if (input[at] == 0)
                continue;
            byte[] plainer = [.. input];
            plainer[at] = 0;
            tries--;
            if (keeps(plainer))
                input = plainer;
        }

        return input;
    }
}

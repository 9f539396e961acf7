using System.Runtime.InteropServices;
using VirtioSharp.Fuzz.Coverage;

namespace VirtioSharp.Fuzz.Engine;

/// <summary>The inputs worth mutating: each took an edge, or took it a number of times, that none before it had.</summary>
internal sealed class Corpus
{
    private readonly byte[] _seen = new byte[CoverageMap.Edges];
    private readonly List<byte[]> _inputs = [];

    public IReadOnlyList<byte[]> Inputs => _inputs;

    /// <summary>Edges that any input took.</summary>
    public int Edges { get; private set; }

    public void Add(ReadOnlySpan<byte> input) => _inputs.Add(input.ToArray());

    /// <summary>The newest quarter gets half of the tries.</summary>
    public byte[] Pick(Random random) =>
        _inputs[random.Next(2) == 0 ? random.Next(_inputs.Count) : random.Next(_inputs.Count - (_inputs.Count + 3) / 4, _inputs.Count)];

    /// <summary>Notes what the last run covered. True when something of it is new.</summary>
    public bool Note(Span<byte> counts)
    {
        bool isNew = false;
        Span<ulong> eights = MemoryMarshal.Cast<byte, ulong>(counts);
        for (int i = 0; i < eights.Length; i++)
        {
            if (eights[i] == 0)
                continue;
            for (int at = 8 * i; at < 8 * i + 8; at++)
            {
                byte bucket = Bucket(counts[at]);
                if ((bucket & ~_seen[at]) == 0)
                    continue;
                Edges += _seen[at] == 0 ? 1 : 0;
                _seen[at] |= bucket;
                isNew = true;
            }
        }

        return isNew;
    }

    /// <summary>1, 2, 3, 4–7, 8–15, 16–31, 32–127, 128 and more: a loop that runs once more is rarely news.</summary>
    public static byte Bucket(byte count) => count switch
    {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        < 8 => 8,
        < 16 => 16,
        < 32 => 32,
        < 128 => 64,
        _ => 128,
    };
}

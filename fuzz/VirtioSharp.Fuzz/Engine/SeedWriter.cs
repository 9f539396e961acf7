using VirtioSharp.Fuzz.Coverage;

namespace VirtioSharp.Fuzz.Engine;

/// <summary>Chooses few and small inputs that together cover almost what the corpus does.</summary>
internal static class SeedWriter
{
    public static List<byte[]> Choose(ITarget target, IEnumerable<byte[]> corpus, int most)
    {
        var candidates = corpus.Select(input => (Input: input, Edges: Cover(target, input))).ToList();
        var covered = new HashSet<int>();
        var chosen = new List<byte[]>();
        while (chosen.Count < most && candidates.Count > 0)
        {
            // The most new edges; of two that bring the same, the shorter.
            var best = candidates.MaxBy(candidate => candidate.Edges.Count(edge => !covered.Contains(edge)) * 100_000L - candidate.Input.Length);
            int[] brings = [.. best.Edges.Where(edge => !covered.Contains(edge))];
            if (brings.Length == 0)
                break;
            byte[] smaller = Minimiser.Minimise(best.Input, shorter => brings.All(Cover(target, shorter).Contains), tries: 300);
            chosen.Add(smaller);
            covered.UnionWith(Cover(target, smaller));
            candidates.Remove(best);
        }

        return chosen;
    }

    private static HashSet<int> Cover(ITarget target, byte[] input)
    {
        CoverageMap.Clear();
        target.Run(input);
        var edges = new HashSet<int>();
        Span<byte> counts = CoverageMap.Counts;
        for (int i = 0; i < counts.Length; i++)
            if (counts[i] != 0)
                edges.Add(i);
        return edges;
    }
}

namespace VirtioSharp.SupportTable;

/// <summary>What tests have proved: rows are features, columns transports, and a cell holds the tests that name both.</summary>
internal sealed class Proofs
{
    private readonly ILookup<(string Feature, string Transport), RanTest> _cells;

    public Proofs(IEnumerable<RanTest> tests)
    {
        _cells = tests
            .SelectMany(test => test.Proves.Select(proof => (Place: Split(proof), Test: test)))
            .ToLookup(proof => proof.Place, proof => proof.Test);
        Features = Order.Apply(Order.Features, _cells.Select(cell => cell.Key.Feature));
        Transports = Order.Apply(Order.Transports, _cells.Select(cell => cell.Key.Transport));
    }

    public IReadOnlyList<string> Features { get; }

    public IReadOnlyList<string> Transports { get; }

    /// <summary>The test classes of a cell, by name. A class is as good as its worst test there.</summary>
    public IReadOnlyList<ProvingClass> Classes(string feature, string transport) =>
    [
        .. _cells[(feature, transport)]
            .GroupBy(test => test.Class)
            .Select(group => new ProvingClass(group.Key, group.Max(test => Badness(test.Outcome))))
            .OrderBy(type => type.ShortName, StringComparer.Ordinal),
    ];

    /// <summary>How a cell stands, in a mark; a dash where nothing is claimed.</summary>
    public string Mark(string feature, string transport)
    {
        IReadOnlyList<ProvingClass> classes = Classes(feature, transport);
        return classes.Count == 0 ? "—" : classes.Max(type => type.Badness) switch { 0 => "✔", 1 => "skipped", _ => "✘" };
    }

    private static int Badness(Outcome outcome) => outcome switch { Outcome.Passed => 0, Outcome.Skipped => 1, _ => 2 };

    private static (string Feature, string Transport) Split(string proof)
    {
        int bar = proof.LastIndexOf(" | ", StringComparison.Ordinal);
        return bar < 0 ? (proof, "any") : (proof[..bar], proof[(bar + 3)..]);
    }
}

/// <summary>A test class in a cell.</summary>
/// <param name="Name">With its namespace.</param>
/// <param name="Badness">0: all its tests passed, 1: some were skipped, 2: some failed.</param>
internal sealed record ProvingClass(string Name, int Badness)
{
    public string ShortName => Name[(Name.LastIndexOfAny(['.', '+']) + 1)..];
}

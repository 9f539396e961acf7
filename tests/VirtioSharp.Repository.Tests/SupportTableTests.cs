using VirtioSharp.SupportTable;
using Xunit;

namespace VirtioSharp.Repository.Tests;

public sealed class SupportTableTests
{
    private const string Readme = "Before\n<!-- support:begin -->\nold\n<!-- support:end -->\nAfter\n";

    [Fact]
    public void Listed_names_come_first_and_others_by_name()
    {
        Assert.Equal(["b", "a", "c", "d"], Order.Apply(["b", "unused", "a"], ["d", "a", "c", "b"]));
    }

    [Fact]
    public void A_row_of_marks_leads_to_the_classes_that_prove_it()
    {
        var proofs = new Proofs(
        [
            Test("N.RngTests", Outcome.Passed, "Entropy, fast | loopback"),
            Test("N.RngTests", Outcome.Passed, "Entropy, fast | loopback"),
            Test("N.BlockTests+Split", Outcome.Passed, "disk | mmio"),
        ]);

        string table = ReadmeTable.Render(proofs);
        string page = SupportPage.Render(proofs, type => type == "N.RngTests" ? "../tests/RngTests.cs" : null);

        Assert.Equal("| | loopback | mmio |\n|---|:---:|:---:|\n| [Entropy, fast](docs/support.md#entropy-fast) | ✔ | — |\n| [disk](docs/support.md#disk) | — | ✔ |\n", table);
        Assert.EndsWith("\n## Entropy, fast\n\n- loopback: [RngTests](../tests/RngTests.cs)\n\n## disk\n\n- mmio: Split\n", page);
    }

    [Fact]
    public void Failing_and_skipped_proofs_are_shown_as_such()
    {
        var proofs = new Proofs(
        [
            Test("A", Outcome.Passed, "f | t"),
            Test("B", Outcome.Passed, "f | t"),
            Test("B", Outcome.Failed, "f | t"),
            Test("C", Outcome.Skipped, "f | t"),
            Test("C", Outcome.Passed, "f | t"),
            Test("C", Outcome.Skipped, "f | u"),
        ]);

        Assert.EndsWith("| [f](docs/support.md#f) | ✘ | skipped |\n", ReadmeTable.Render(proofs));
        Assert.EndsWith("- t: A, B (✘ failing), C (skipped)\n- u: C (skipped)\n", SupportPage.Render(proofs, _ => null));
    }

    [Fact]
    public void The_table_goes_between_its_marks_and_nowhere_else()
    {
        Assert.Equal("Before\n<!-- support:begin -->\nnew\n<!-- support:end -->\nAfter\n", ReadmeTable.Put(Readme, "new\n"));
        Assert.Null(ReadmeTable.Put("no marks", "new\n"));
    }

    private static RanTest Test(string type, Outcome outcome, params string[] proves) => new($"{type}.Test", type, outcome, "", proves);
}

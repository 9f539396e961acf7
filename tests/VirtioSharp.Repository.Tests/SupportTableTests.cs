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
    public void A_cell_has_a_mark_for_each_class_that_proves_it()
    {
        string table = ReadmeTable.Render(
            [
                Test("N.RngTests", Outcome.Passed, "rng | loopback"),
                Test("N.RngTests", Outcome.Passed, "rng | loopback"),
                Test("N.BlockTests", Outcome.Passed, "disk | mmio"),
            ],
            type => type == "N.RngTests" ? "tests/RngTests.cs" : null);

        Assert.Equal("| | loopback | mmio |\n|---|---|---|\n| disk | — | ✔ |\n| rng | [✔](tests/RngTests.cs \"RngTests\") | — |\n", table);
    }

    [Fact]
    public void Failing_and_skipped_proofs_are_shown_as_such()
    {
        string table = ReadmeTable.Render(
            [
                Test("A", Outcome.Passed, "f | t"),
                Test("B", Outcome.Passed, "f | t"),
                Test("B", Outcome.Failed, "f | t"),
                Test("C", Outcome.Skipped, "f | t"),
                Test("C", Outcome.Passed, "f | t"),
            ],
            _ => null);

        Assert.EndsWith("| f | ✔; ✘ failing: B; skipped: C |\n", table);
    }

    [Fact]
    public void The_table_goes_between_its_marks_and_nowhere_else()
    {
        Assert.Equal("Before\n<!-- support:begin -->\nnew\n<!-- support:end -->\nAfter\n", ReadmeTable.Put(Readme, "new\n"));
        Assert.Null(ReadmeTable.Put("no marks", "new\n"));
    }

    private static RanTest Test(string type, Outcome outcome, params string[] proves) => new($"{type}.Test", type, outcome, "", proves);
}

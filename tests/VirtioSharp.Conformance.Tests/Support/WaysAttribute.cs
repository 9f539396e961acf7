using System.Reflection;
using VirtioSharp.Core.Driver;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>Runs a test over the ways that are of interest to it, each a row that proves its own cells of the README's support table.</summary>
/// <param name="proves">The rows of that table. The columns are the ways'.</param>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
internal sealed class WaysAttribute(params string[] proves) : DataAttribute
{
    /// <summary>Over which targets.</summary>
    public Targets Over { get; set; } = Targets.AnyDevice;

    /// <summary>Over both ring formats, and not the split ring alone.</summary>
    public bool EachRing { get; set; }

    /// <summary>Over all kinds of interrupt, and not the best alone.</summary>
    public bool EachInterrupt { get; set; }

    /// <summary>Also over a transitional function's two interfaces.</summary>
    public bool Transitional { get; set; }

    /// <summary>Leaves legacy interfaces out.</summary>
    public bool ModernOnly { get; set; }

    /// <summary>QEMU's PCI function of this kind has no MSI-X.</summary>
    public bool QemuHasNoVectors { get; set; }

    /// <summary>Leaves out what is no PCI.</summary>
    public bool PciOnly { get; set; }

    public override bool SupportsDiscoveryEnumeration() => true;

    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. Way.All.Where(IsOfInterest).Select(Row)]);

    private bool IsOfInterest(Way way) =>
        (way.Target & Over) != 0
        && (EachRing || !way.Packed)
        && (QemuHasNoVectors && way.IsQemu ? way.Interrupts == InterruptKind.Line : EachInterrupt || way.Interrupts == way.BestInterrupts)
        && (Transitional || !way.IsTransitional || way.Target == Targets.QemuElsewhere)
        && !(ModernOnly && way.IsLegacy)
        && (!PciOnly || way.IsPci);

    private ITheoryDataRow Row(Way way)
    {
        List<string> features = [.. proves];
        if (features.Contains("Entropy driver") && (way.Target is Targets.Loopback or Targets.InProcess || way.IsDaemon))
            features.Add("Entropy device"); // ours is at the other end
        if (EachRing)
            features.Add(way.IsLegacy ? "Legacy ring layout" : way.Packed ? "Packed ring" : "Split ring");
        if (EachInterrupt && !(way.Target == Targets.Loopback))
            features.Add(way.IsMmio ? "Line interrupt" : way.Interrupts == InterruptKind.Line ? "INTx" : "MSI-X");
        return new TheoryDataRow<Way>(way)
        {
            Label = way.ToString(),
            Traits = { ["proves"] = [.. features.Select(feature => $"{feature} | {way.Column}")] },
        };
    }
}

namespace VirtioSharp.Fuzz.Engine;

/// <summary>Something to fuzz: gives bytes a meaning, and throws when a rule is broken.</summary>
/// <remarks>The same bytes must always do the same: whatever a run changes, the next starts without.</remarks>
internal interface ITarget
{
    string Name { get; }

    /// <summary>The longest input worth trying.</summary>
    int MaxLength { get; }

    void Run(ReadOnlySpan<byte> bytes);
}

using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>For tests that count what belongs to the whole process: descriptors, threads, memory. Nothing runs beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

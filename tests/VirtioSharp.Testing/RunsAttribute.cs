using Xunit.v3;

namespace VirtioSharp.Testing;

/// <summary>Says that a test runs this command of the README, word for word. A command that no test runs fails the build.</summary>
/// <param name="command">The line as the reader would type it: "./run --help".</param>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class RunsAttribute(string command) : Attribute, ITraitAttribute
{
    public string Command { get; } = command;

    public IReadOnlyCollection<KeyValuePair<string, string>> GetTraits() => [new("runs", Command)];
}

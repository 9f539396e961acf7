namespace VirtioSharp.Linux.Tests;

/// <summary>A directory of its own for one test, removed also when the test fails.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("virtiosharp-");

    public string this[string name] => Path.Combine(_directory.FullName, name);

    public void Dispose() => _directory.Delete(recursive: true);
}

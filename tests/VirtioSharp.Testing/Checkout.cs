namespace VirtioSharp.Testing;

/// <summary>The source tree that the test programs were built in.</summary>
public static class Checkout
{
    /// <summary>Its root; null when this program was built or copied elsewhere.</summary>
    public static string? Root { get; } = Find(AppContext.BaseDirectory);

    private static string? Find(string? directory)
    {
        while (directory is not null && !File.Exists(Path.Combine(directory, "VirtioSharp.slnx")))
            directory = Path.GetDirectoryName(directory);
        return directory;
    }
}

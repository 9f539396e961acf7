namespace VirtioSharp.Cli.Serve;

/// <summary>All devices that <c>vio serve</c> knows. A new one is a line here.</summary>
internal static class Catalog
{
    public static IReadOnlyList<IServedDevice> Devices { get; } =
    [
        new ServedRng(),
        new ServedBlk(),
    ];
}

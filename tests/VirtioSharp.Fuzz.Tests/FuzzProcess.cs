using System.Diagnostics;

namespace VirtioSharp.Fuzz.Tests;

/// <summary>The fuzzer as it is run by hand: it is copied beside the tests, because they refer to it.</summary>
internal static class FuzzProcess
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "VirtioSharp.Fuzz");

    public static async Task<(int ExitCode, string Output)> Run(params string[] args)
    {
        var start = new ProcessStartInfo(Program, args) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(Xunit.TestContext.Current.CancellationToken);
            Task<string> errors = process.StandardError.ReadToEndAsync(Xunit.TestContext.Current.CancellationToken);
            string all = await output + await errors;
            await process.WaitForExitAsync(Xunit.TestContext.Current.CancellationToken);
            return (process.ExitCode, all);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    /// <summary>A directory of the repository.</summary>
    public static string InRepository(string path)
    {
        string? root = AppContext.BaseDirectory;
        while (root is not null && !File.Exists(Path.Combine(root, "VirtioSharp.slnx")))
            root = Path.GetDirectoryName(root);
        return Path.Combine(root ?? throw new InvalidOperationException($"no VirtioSharp.slnx above {AppContext.BaseDirectory}"), path);
    }
}

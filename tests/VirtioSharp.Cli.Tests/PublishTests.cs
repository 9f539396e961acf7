using System.Diagnostics;
using System.Reflection.PortableExecutable;

namespace VirtioSharp.Cli.Tests;

/// <summary>What a user gets who publishes the program.</summary>
public sealed class PublishTests
{
    [Fact]
    [Runs("dotnet publish src/VirtioSharp.Cli -c Release -o artifacts/vio")]
    [Runs("artifacts/vio/vio demo")]
    [Runs("artifacts/vio/vio demo --trace")]
    [Runs("artifacts/vio/vio serve rng --help")]
    public async Task A_published_program_is_compiled_ahead_of_time_and_runs()
    {
        if (Checkout.Root is null)
            Assert.Skip($"there is no source tree above {AppContext.BaseDirectory} to publish from");
        using var directory = new TemporaryDirectory();
        // Intermediate files of its own: those of the usual build stay as they are. The lock files are obeyed.
        await using (VioProcess publish = VioProcess.StartProgram("dotnet",
        [
            "publish", Path.Combine(Checkout.Root, "src/VirtioSharp.Cli"), "-c", "Release", "-o", directory["out"], "--artifacts-path", directory["artifacts"],
            "-p:RestoreLockedMode=true", "-nodeReuse:false", "-p:UseSharedCompilation=false", "--tl:off", "--verbosity", "quiet",
        ]))
        {
            Ending published = await publish.EndAsync(TimeSpan.FromMinutes(10));
            Assert.True(published.ExitCode == 0, published.Output + published.Errors);
        }

        using (var image = new PEReader(File.OpenRead(directory["out/vio.dll"])))
            Assert.True(image.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size > 0, "vio.dll holds no native code");
        await using VioProcess vio = VioProcess.StartProgram(directory["out/vio"], ["demo"]);
        long start = Stopwatch.GetTimestamp();
        Ending demo = await vio.EndAsync();
        TestContext.Current.TestOutputHelper?.WriteLine($"demo took {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");
        Assert.Equal((0, ""), (demo.ExitCode, demo.Errors));
        Assert.Contains("2500 bytes", demo.Output, StringComparison.Ordinal);
        await using VioProcess trace = VioProcess.StartProgram(directory["out/vio"], ["demo", "--trace"]);
        Assert.Contains("├ get", (await trace.EndAsync()).Output, StringComparison.Ordinal);
        await using VioProcess help = VioProcess.StartProgram(directory["out/vio"], ["serve", "rng", "--help"]);
        Assert.Contains("--socket-path", (await help.EndAsync()).Output, StringComparison.Ordinal);
    }
}

namespace VirtioSharp.Cli.Tests;

/// <summary>As root, but bound by permissions. Another user may not even get to the program: root's home is closed to others.</summary>
internal static class PlainRoot
{
    public static async Task<Ending> RunAsync(params string[] arguments)
    {
        const string setpriv = "/usr/bin/setpriv";
        string[] become = ["--bounding-set=-dac_override", "--inh-caps=-dac_override", "--", VioProcess.Program];
        if (!File.Exists(setpriv))
            Assert.Skip("we are root, whom no permission stops, and there is no setpriv (apt install util-linux) to change that");
        await using (VioProcess trial = VioProcess.StartProgram(setpriv, [.. become, "demo"]))
        {
            if ((await trial.EndAsync()).ExitCode != 0)
                Assert.Skip($"we are root, whom no permission stops, and may not change that: {trial.Errors}");
        }

        await using VioProcess vio = VioProcess.StartProgram(setpriv, [.. become, .. arguments]);
        return await vio.EndAsync();
    }
}

using System.Diagnostics;
using VirtioSharp.Fuzz.Coverage;
using VirtioSharp.Fuzz.Engine;

namespace VirtioSharp.Fuzz;

/// <summary>Makes an instrumented copy of this program, runs it, and survives it: what killed it is a finding, too.</summary>
/// <remarks>
/// A second process and not a second load context: a write beyond guest memory ends in a guard page, and .NET dies of
/// that without any handler. The worker's input is in a mapped file and outlives it.
/// </remarks>
internal static class Launcher
{
    private const int TriesToMinimise = 60;

    public static int Run(Arguments arguments, string[] args)
    {
        string directory = Directory.CreateTempSubdirectory("virtiosharp-fuzz-").FullName;
        try
        {
            Instrumenter.Instrument(AppContext.BaseDirectory, directory);
            int code = Start(Path.Combine(directory, "VirtioSharp.Fuzz"), [.. args, "--worker", directory], quiet: false);
            return code is 0 or 1 or 2 ? code : Report(arguments, directory, code);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static int Report(Arguments arguments, string directory, int code)
    {
        byte[] input;
        using (var current = new CurrentInput(Worker.InputFile(directory)))
            input = current.Get();
        string attempt = Path.Combine(directory, "attempt");
        string program = Path.Combine(directory, "VirtioSharp.Fuzz");
        input = Minimiser.Minimise(
            input,
            shorter =>
            {
                File.WriteAllBytes(attempt, shorter);
                return Start(program, [arguments.Target, "--replay", attempt], quiet: true) == code;
            },
            TriesToMinimise);
        string what = code == Watchdog.ExitCode
            ? "the input takes more than a second: it does not come to an end"
            : $"the process died with exit code {code}: memory outside of the regions was touched (its last words are above)";
        Worker.Write(arguments, new Finding(input, what));
        return 1;
    }

    private static int Start(string program, string[] args, bool quiet)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, args) { RedirectStandardError = quiet, RedirectStandardOutput = quiet })!;
        if (quiet)
        {
            process.ErrorDataReceived += static (_, _) => { };
            process.OutputDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            process.BeginOutputReadLine();
        }

        process.WaitForExit();
        return process.ExitCode;
    }
}

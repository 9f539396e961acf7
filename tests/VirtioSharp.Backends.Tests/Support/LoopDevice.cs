using System.Diagnostics;
using System.Globalization;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>A real block device whose bytes are in a file (loop(4)), where we may make one.</summary>
internal sealed class LoopDevice : IDisposable
{
    private LoopDevice(string path) => Path = path;

    public string Path { get; }

    public static LoopDevice Over(string file, int blockBytes)
    {
        (int code, string output) = Run("--find", "--show", "--sector-size", blockBytes.ToString(CultureInfo.InvariantCulture), file);
        if (code != 0)
            Assert.Skip("losetup: no block device can be made here");
        return new LoopDevice(output.Trim());
    }

    public void Dispose() => Assert.Equal(0, Run("--detach", Path).Code);

    private static (int Code, string Output) Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("losetup", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using Process losetup = Process.Start(start)!;
            string output = losetup.StandardOutput.ReadToEnd();
            losetup.WaitForExit();
            return (losetup.ExitCode, output);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return (-1, ""); // there is none
        }
    }
}

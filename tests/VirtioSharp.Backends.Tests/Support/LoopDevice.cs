using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>A real block device whose bytes are in a file (loop(4)), where we may make one.</summary>
internal sealed partial class LoopDevice : IDisposable
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

    /// <summary>Claims it as a mounted file system does (O_EXCL, open(2)); null when another has.</summary>
    public FileDescriptor? Claim()
    {
        const int O_EXCL = 0x80, O_CLOEXEC = 0x80000;
        int fd = OpenFile(Path, O_EXCL | O_CLOEXEC);
        return fd < 0 ? null : FileDescriptor.Adopt(fd);
    }

    public void Dispose() => Assert.Equal(0, Run("--detach", Path).Code);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags);

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

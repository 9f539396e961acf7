using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace VirtioSharp.Qemu;

/// <summary>
/// The programs of the host that a guest is made with. Each is found by name, and its absence is one sentence
/// that names the package to install.
/// </summary>
public static class HostTools
{
    /// <summary>The emulator's usual name.</summary>
    public const string Qemu = "qemu-system-x86_64";

    /// <summary>Says whether everything a guest needs is on this machine; if not, what to install.</summary>
    public static bool CanBootGuests([NotNullWhen(true)] out DebianKernel? kernel, [NotNullWhen(false)] out string? whyNot)
    {
        kernel = null;
        return TryFind(Qemu, "qemu-system-x86", out _, out whyNot)
            && TryFind("busybox", "busybox-static", out _, out whyNot)
            && DebianKernel.TryFind(out kernel, out whyNot);
    }

    internal static bool TryFind(
        string program, string package, [NotNullWhen(true)] out string? path, [NotNullWhen(false)] out string? whyNot)
    {
        // sbin is where some systems keep busybox, and it is not in every user's PATH.
        string search = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/bin:/bin:/usr/sbin:/sbin";
        path = program.Contains('/')
            ? File.Exists(program) ? program : null
            : search.Split(':', StringSplitOptions.RemoveEmptyEntries)
                .Select(directory => Path.Combine(directory, program))
                .FirstOrDefault(File.Exists);
        whyNot = path is null ? $"{program} was not found: run 'apt install {package}'" : null;
        return path is not null;
    }

    internal static string Find(string program, string package) =>
        TryFind(program, package, out string? path, out string? whyNot) ? path : throw new GuestException(whyNot);

    /// <summary>The standard output of a short command.</summary>
    internal static byte[] Run(string program, params string[] arguments)
    {
        // Its complaints go where ours go; a pipe that nobody reads could fill up and stop it.
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        using MemoryStream output = new();
        process.StandardOutput.BaseStream.CopyTo(output);
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.ToArray()
            : throw new GuestException($"'{program} {string.Join(' ', arguments)}' ended with {process.ExitCode}: run it by hand to see why");
    }
}

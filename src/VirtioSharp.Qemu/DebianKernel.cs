using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace VirtioSharp.Qemu;

/// <summary>
/// Debian's own kernel for virtual machines (package linux-image-cloud-amd64): small enough to boot in two
/// seconds without hardware virtualisation, and nobody can say that we patched the driver.
/// </summary>
/// <param name="Release">What <c>uname -r</c> says inside.</param>
/// <param name="Image">The compressed kernel, ready for <c>-kernel</c>.</param>
/// <param name="Modules">Its folder of modules.</param>
public sealed partial record DebianKernel(string Release, string Image, string Modules)
{
    private const string ImagePrefix = "vmlinuz-";
    private const string Install = "run 'apt install linux-image-cloud-amd64'";

    /// <summary>Finds the newest installed cloud kernel, or says what to install.</summary>
    public static bool TryFind([NotNullWhen(true)] out DebianKernel? kernel, [NotNullWhen(false)] out string? whyNot) =>
        TryFind("/boot", "/lib/modules", out kernel, out whyNot);

    internal static bool TryFind(
        string bootDirectory,
        string modulesDirectory,
        [NotNullWhen(true)] out DebianKernel? kernel,
        [NotNullWhen(false)] out string? whyNot)
    {
        kernel = null;
        whyNot = $"no cloud kernel in {bootDirectory}: {Install}";
        if (!Directory.Exists(bootDirectory))
            return false;

        IEnumerable<string> newestFirst = Directory
            .EnumerateFiles(bootDirectory, ImagePrefix + "*-cloud-amd64")
            .OrderByDescending(WithPaddedNumbers, StringComparer.Ordinal);
        foreach (string image in newestFirst)
        {
            string release = Path.GetFileName(image)[ImagePrefix.Length..];
            string modules = Path.Combine(modulesDirectory, release);
            // A removed package can leave either half behind.
            if (!File.Exists(Path.Combine(modules, "modules.dep")))
            {
                whyNot = $"{image} has no modules in {modules}: {Install}";
            }
            else if (!IsReadable(image))
            {
                whyNot = $"{image} is not readable: run 'chmod +r {image}' as root";
            }
            else
            {
                whyNot = null;
                kernel = new DebianKernel(release, image, modules);
                return true;
            }
        }
        return false;
    }

    // 6.1.0-9 is older than 6.1.0-56. (CompareOptions.NumericOrdering does nothing under InvariantGlobalization.)
    private static string WithPaddedNumbers(string path) =>
        Number().Replace(path, number => number.Value.PadLeft(10, '0'));

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Number();

    private static bool IsReadable(string path)
    {
        try
        {
            using (File.OpenHandle(path))
                return true;
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            return false;
        }
    }
}

using System.Diagnostics;
using System.Text.RegularExpressions;

namespace VirtioSharp.Guest.Tests;

/// <summary>
/// Programs of this machine for a guest: a read-only ext4 disk with the programs and every library they load, so that the
/// guest reads what it needs and not all of it at boot. Attached as a disk of QEMU's own, never one under test.
/// </summary>
internal static partial class ToolsDisk
{
    private const string Serial = "vio-tools";

    /// <summary>What a job says first: makes <c>tool PROGRAM ARGUMENT…</c> known.</summary>
    public const string Vocabulary = $$"""
        for one in /sys/block/vd*; do [ "$(cat $one/serial)" = {{Serial}} ] && tools=/dev/${one##*/}; done
        mkdir -p /tools
        mount -t ext4 -o ro $tools /tools || vio failed tools
        tool() { name=$1; shift; /tools/ld.so --library-path /tools/lib /tools/bin/$name "$@"; }

        """;

    /// <summary>Builds the disk, or skips the test and says what to install.</summary>
    /// <param name="directory">Where the image goes.</param>
    /// <param name="packages">Each program's name and package.</param>
    /// <returns>QEMU's arguments.</returns>
    public static IReadOnlyList<string> Make(TemporaryDirectory directory, params (string Program, string Package)[] packages)
    {
        string root = Directory.CreateDirectory(directory["tools"]).FullName;
        Directory.CreateDirectory(Path.Combine(root, "bin"));
        Directory.CreateDirectory(Path.Combine(root, "lib"));
        foreach ((string program, string package) in packages)
            Add(Find(program, package), root);

        string image = directory["tools.img"];
        Run(Find("mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-d", root, image, "256M");
        Directory.Delete(root, recursive: true);
        return
        [
            "-drive", $"if=none,id=tools,format=raw,readonly=on,file={image}",
            "-device", $"virtio-blk-pci,drive=tools,serial={Serial}",
        ];
    }

    private static void Add(string program, string root)
    {
        File.Copy(program, Path.Combine(root, "bin", Path.GetFileName(program)));
        foreach (Match library in Library().Matches(Run("/usr/bin/ldd", program)))
        {
            string path = library.Groups["path"].Value;
            string name = Path.GetFileName(path);
            bool isLoader = name.StartsWith("ld-linux", StringComparison.Ordinal);
            File.Copy(path, isLoader ? Path.Combine(root, "ld.so") : Path.Combine(root, "lib", name), overwrite: true);
        }
    }

    private static string Find(string program, string package)
    {
        string? path = ((string[])["/usr/bin", "/usr/sbin", "/bin", "/sbin"]).Select(place => Path.Combine(place, program)).FirstOrDefault(File.Exists);
        Assert.SkipWhen(path is null, $"{program} was not found: run 'apt install {package}'");
        return path;
    }

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"'{program} {string.Join(' ', arguments)}' ended with {process.ExitCode}");
        return output;
    }

    [GeneratedRegex(@"(?<path>/\S+) \(0x")]
    private static partial Regex Library();
}

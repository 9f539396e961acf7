using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace VirtioSharp.Qemu;

/// <summary>
/// The guest's whole userland: busybox, the modules it needs and our init. The base is built once per kernel and
/// kept in a cache; a job is a second small archive behind it.
/// </summary>
public sealed class Initramfs
{
    /// <summary>What a guest needs for PCI devices, an entropy source and the results disk.</summary>
    public static IReadOnlyList<string> DefaultModules { get; } = ["virtio_pci", "virtio_rng", "virtio_blk"];

    private Initramfs(string baseArchive, bool wasCached) => (BaseArchive, WasCached) = (baseArchive, wasCached);

    /// <summary>The archive without a job.</summary>
    public string BaseArchive { get; }

    /// <summary>Whether the base was there already.</summary>
    public bool WasCached { get; }

    /// <summary>Finds the base archive in the cache, or builds it.</summary>
    /// <param name="kernel">The kernel that will unpack it.</param>
    /// <param name="modules">Modules to insert at boot, dependencies not needed; <see cref="DefaultModules"/> if null.</param>
    /// <param name="cacheDirectory">Where to keep it; the user's cache folder if null.</param>
    public static Initramfs Prepare(
        DebianKernel kernel, IEnumerable<string>? modules = null, string? cacheDirectory = null)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        string busybox = HostTools.Find("busybox", "busybox-static");
        IReadOnlyList<string> moduleFiles = KernelModules.InInsertionOrder(kernel, modules ?? DefaultModules);

        string directory = cacheDirectory ?? DefaultCacheDirectory();
        string path = Path.Combine(directory, $"initramfs-{Key([busybox, .. moduleFiles])}.cpio");
        if (File.Exists(path))
            return new Initramfs(path, wasCached: true);

        Directory.CreateDirectory(directory);
        // Another process may be building the same: each writes its own file, and the rename is atomic.
        string unfinished = $"{path}.{Guid.NewGuid():N}";
        using (FileStream stream = File.Create(unfinished))
            WriteBase(stream, busybox, moduleFiles);
        File.Move(unfinished, path, overwrite: true);
        return new Initramfs(path, wasCached: false);
    }

    /// <summary>Writes a complete initramfs that runs <paramref name="job"/>, a busybox shell script.</summary>
    public void WriteWithJob(string path, string job)
    {
        File.Copy(BaseArchive, path, overwrite: true);
        using FileStream stream = new(path, FileMode.Append);
        CpioWriter cpio = new(stream);
        cpio.AddProgram("job.sh", Encoding.UTF8.GetBytes(job + "\n"));
        cpio.Finish();
    }

    private static void WriteBase(Stream stream, string busybox, IReadOnlyList<string> moduleFiles)
    {
        CpioWriter cpio = new(stream);
        foreach (string directory in (string[])["bin", "dev", "proc", "sys", "tmp", "modules"])
            cpio.AddDirectory(directory);

        cpio.AddProgram("bin/busybox", File.ReadAllBytes(busybox));
        string applets = Encoding.UTF8.GetString(HostTools.Run(busybox, "--list"));
        foreach (string applet in applets.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(name => name != "busybox"))
            cpio.AddLink($"bin/{applet}", "busybox");

        foreach (string file in moduleFiles)
            cpio.AddProgram($"modules/{KernelModules.FileName(file)}", KernelModules.Read(file));
        string order = string.Concat(moduleFiles.Select(file => KernelModules.FileName(file) + "\n"));
        cpio.AddProgram("modules/order", Encoding.UTF8.GetBytes(order));
        cpio.AddProgram("init", Encoding.UTF8.GetBytes(GuestInit.Script));
        cpio.Finish();
    }

    // Names, sizes and times of the parts, as make would look at them: reading megabytes to learn that nothing
    // changed would cost as much as building.
    private static string Key(IEnumerable<string> files)
    {
        StringBuilder parts = new(GuestInit.Script);
        foreach (FileInfo file in files.Select(path => new FileInfo(path)))
            parts.Append(CultureInfo.InvariantCulture, $"\n{file.FullName} {file.Length} {file.LastWriteTimeUtc.Ticks}");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(parts.ToString())))[..16];
    }

    private static string DefaultCacheDirectory()
    {
        string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        string? home = Environment.GetEnvironmentVariable("HOME");
        return !string.IsNullOrEmpty(cache) ? Path.Combine(cache, "virtiosharp")
            : !string.IsNullOrEmpty(home) ? Path.Combine(home, ".cache", "virtiosharp")
            : Path.Combine(Path.GetTempPath(), $"virtiosharp-{Environment.UserName}");
    }
}

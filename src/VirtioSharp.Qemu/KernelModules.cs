namespace VirtioSharp.Qemu;

/// <summary>
/// Which module files must be inserted, and in which order, to have the named modules. Reads modules.dep as
/// depmod wrote it; a module that is built into the kernel needs no file.
/// </summary>
internal static class KernelModules
{
    public static IReadOnlyList<string> InInsertionOrder(DebianKernel kernel, IEnumerable<string> names)
    {
        Dictionary<string, string[]> dependencies = [];
        Dictionary<string, string> pathByName = [];
        foreach (string line in File.ReadLines(Path.Combine(kernel.Modules, "modules.dep")))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0)
                continue;
            string path = line[..colon];
            pathByName[NameOf(path)] = path;
            // depmod lists the nearest dependency first, so the order of insertion is right to left.
            dependencies[path] = [.. line[(colon + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries).Reverse()];
        }

        string builtinList = Path.Combine(kernel.Modules, "modules.builtin");
        HashSet<string> builtin = File.Exists(builtinList) ? [.. File.ReadLines(builtinList).Select(NameOf)] : [];

        List<string> order = [];
        foreach (string name in names)
        {
            if (pathByName.TryGetValue(Normal(name), out string? path))
                order.AddRange(dependencies[path].Append(path).Except(order).ToArray());
            else if (!builtin.Contains(Normal(name)))
                throw new GuestException($"kernel {kernel.Release} has no module {name}: look in {kernel.Modules}/modules.dep for its name");
        }
        return [.. order.Select(path => Path.Combine(kernel.Modules, path))];
    }

    /// <summary>The module's bytes, without the compression that newer Debian releases ship them in.</summary>
    public static byte[] Read(string path) =>
        path.EndsWith(".xz", StringComparison.Ordinal)
            ? HostTools.Run(HostTools.Find("xz", "xz-utils"), "--decompress", "--stdout", path)
            : File.ReadAllBytes(path);

    /// <summary>The file's name inside the guest, where nothing is compressed.</summary>
    public static string FileName(string path) => NameOf(path) + ".ko";

    private static string NameOf(string path)
    {
        string file = Path.GetFileName(path);
        int dot = file.IndexOf('.', StringComparison.Ordinal);
        return Normal(dot < 0 ? file : file[..dot]);
    }

    // The kernel takes virtio-rng and virtio_rng for the same module.
    private static string Normal(string name) => name.Replace('-', '_');
}

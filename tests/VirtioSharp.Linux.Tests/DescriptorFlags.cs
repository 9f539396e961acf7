namespace VirtioSharp.Linux.Tests;

/// <summary>A descriptor's flags, as the kernel shows them in octal (proc(5), fdinfo).</summary>
internal static class DescriptorFlags
{
    private const int O_CLOEXEC = 0x80000;

    public static bool IsCloseOnExec(this FileDescriptor fd)
    {
        string line = File.ReadLines($"/proc/self/fdinfo/{fd.Number}").First(l => l.StartsWith("flags:", StringComparison.Ordinal));
        return (Convert.ToInt32(line["flags:".Length..].Trim(), 8) & O_CLOEXEC) != 0;
    }
}

using System.Globalization;

namespace VirtioSharp.Linux;

/// <summary>What /proc says about this process (proc(5)).</summary>
public static class ProcessFacts
{
    /// <summary>How many descriptors are open now; to see leaks.</summary>
    /// <exception cref="IOException">/proc is not there.</exception>
    public static int OpenDescriptorCount =>
        Directory.EnumerateFileSystemEntries("/proc/self/fd").Count() - 1; // less the one that counted

    /// <summary>Bytes of memory this process occupies, shared pages included.</summary>
    /// <exception cref="IOException">/proc is not there.</exception>
    public static long ResidentBytes
    {
        get
        {
            string[] pages = File.ReadAllText("/proc/self/statm").Split(' '); // size resident shared …
            return long.Parse(pages[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;
        }
    }

    /// <summary>
    /// The name this program was started by, without directories: argv[0], which for a symbolic link is the link's name.
    /// The runtime does not tell it. Empty when started with no arguments at all, or without /proc.
    /// </summary>
    public static string StartedAs { get; } = ReadStartedAs();

    private static string ReadStartedAs()
    {
        try
        {
            string commandLine = File.ReadAllText("/proc/self/cmdline");
            return Path.GetFileName(commandLine.Split('\0', 2)[0]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}

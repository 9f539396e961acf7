using System.Diagnostics;

namespace VirtioSharp.Qemu;

/// <summary>
/// Starts a program that cannot outlive us, not even when we are killed with -9. Its process id is the program's own.
/// </summary>
/// <remarks>
/// A shell forks a watcher and then becomes the program. The watcher reads from a pipe whose only other end is ours,
/// and the kernel closes that end whatever we die of:
/// <code>
///   us ── pipe ──► watcher (read)     end of file: we are gone, kill the program
///    └─ stdout, stderr ◄── program    a line: the program ended by itself, its process id may belong to another by now
/// </code>
/// PR_SET_PDEATHSIG would be shorter, but it fires when the <em>thread</em> that forked ends, and ours come from a pool.
/// </remarks>
internal static class TetheredProcess
{
    // The watcher closes stdout and stderr, or our readers would wait for it after the program's end.
    private const string Script = """
        exec 3<&0 </dev/null
        (read -r word <&3 || { kill -9 $$; rm -rf "$0"; }) >/dev/null 2>&1 &
        exec 3<&- "$@"
        """;

    /// <param name="program">Path of the program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="directory">Its temporary files: they go too if we are killed. Otherwise they are the caller's to remove.</param>
    public static Process Start(string program, IEnumerable<string> arguments, string directory)
    {
        ProcessStartInfo start = new("/bin/sh", ["-c", Script, directory, program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return Process.Start(start)!;
    }

    /// <summary>Sends the watcher home. Call it when the program's end has been noticed.</summary>
    public static void Release(Process process)
    {
        try
        {
            process.StandardInput.WriteLine("ended");
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The watcher is gone already: it was killed along with the program's group.
        }
    }
}

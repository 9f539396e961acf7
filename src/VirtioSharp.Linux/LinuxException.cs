using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A system call failed, or was refused by this library for a reason that an errno describes.</summary>
/// <remarks>The message reads <c>bind /run/rng.sock: address already in use (EADDRINUSE)</c>: what was tried, on what, why not.</remarks>
public sealed class LinuxException : IOException
{
    /// <summary>A failure with strerror(3)'s text.</summary>
    /// <param name="errno">The error number.</param>
    /// <param name="call">The call, and after a space the object it was about, if that has a name.</param>
    public LinuxException(Errno errno, string call)
        : this(errno, call, Describe(errno))
    {
    }

    /// <summary>A failure which this library can explain better than strerror(3).</summary>
    /// <param name="errno">The error number that comes nearest.</param>
    /// <param name="call">The call, and after a space the object it was about, if that has a name.</param>
    /// <param name="reason">Why not.</param>
    public LinuxException(Errno errno, string call, string reason)
        : base($"{call}: {reason} ({NameOf(errno)})")
    {
        Errno = errno;
        Call = call;
        HResult = (int)errno; // as the base library's own IOExceptions have it on Unix
    }

    /// <summary>Why the call failed.</summary>
    public Errno Errno { get; }

    /// <summary>The call that failed, with its object: <c>bind /run/rng.sock</c>.</summary>
    public string Call { get; }

    /// <summary>Throws for the call that has failed just now. The text is put together here, after errno was read:
    /// an allocation may run the collector, whose own system calls change it.</summary>
    [DoesNotReturn, StackTraceHidden]
    internal static void ThrowLast(string call, object? about = null)
    {
        Errno errno = Libc.LastError;
        throw new LinuxException(errno, about is null ? call : $"{call} {about}");
    }

    private static string NameOf(Errno errno) =>
        Enum.IsDefined(errno) ? errno.ToString() : $"errno {(int)errno}";

    private static string Describe(Errno errno)
    {
        // strerror's texts start a sentence, ours continue one; acronyms ("I/O error") keep their capitals.
        string text = Marshal.GetPInvokeErrorMessage((int)errno);
        return text.Length > 1 && char.IsLower(text[1]) ? char.ToLowerInvariant(text[0]) + text[1..] : text;
    }
}

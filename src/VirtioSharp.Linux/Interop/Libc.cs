using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>The library every import names, and how a failed call's errno is read.</summary>
internal static class Libc
{
    /// <summary>The runtime resolves this name to libc.so.6 or to musl's libc.</summary>
    public const string Name = "libc";

    /// <summary>errno of the call that has just failed. Nothing may run between the call and this.</summary>
    public static Errno LastError => (Errno)Marshal.GetLastSystemError();
}

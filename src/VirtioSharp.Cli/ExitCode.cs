using System.Runtime.InteropServices;

namespace VirtioSharp.Cli;

/// <summary>What <c>vio</c> ends with, the same for every command.</summary>
internal static class ExitCode
{
    /// <summary>It did what was asked.</summary>
    public const int Success = 0;

    /// <summary>It could not; one line on standard error says why.</summary>
    public const int Failure = 1;

    /// <summary>It was asked wrongly; one line on standard error says what is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The daemon to be checked could not be reached.</summary>
    public const int Unreachable = 3;

    /// <summary>A signal ended it before it was done: what a shell would say.</summary>
    public static int Of(PosixSignal signal) => 128 + (signal == PosixSignal.SIGINT ? 2 : 15);
}

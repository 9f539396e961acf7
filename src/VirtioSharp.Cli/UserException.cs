namespace VirtioSharp.Cli;

/// <summary>Something the user can mend. The message is one line that says what is wrong and what to do.</summary>
internal sealed class UserException(string message, int exitCode = ExitCode.Failure) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}

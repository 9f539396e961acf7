using System.CommandLine;

namespace VirtioSharp.Cli.Output;

/// <summary>An option that takes a file's name. An empty one is what a shell makes of a variable that is not set.</summary>
internal static class FileOption
{
    public static Option<FileInfo?> Create(string name, string description, string helpName = "FILE") => new(name)
    {
        Description = description,
        HelpName = helpName,
        CustomParser = given =>
        {
            if (given.Tokens is [{ Value.Length: > 0 } path])
                return new FileInfo(path.Value);
            given.AddError($"{name}: the file's name is empty");
            return null;
        },
    };
}

using VirtioSharp.Fuzz;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Fuzz.Targets;

try
{
    Arguments arguments = Arguments.Parse(args);
    if (arguments.Help)
    {
        Console.WriteLine(Arguments.HelpText);
        return 0;
    }

    ITarget target = TargetList.Create(arguments.Target);
    if (arguments.Replay is { } file)
        return Worker.Replay(target, file);
    return arguments.WorkDirectory is null ? Launcher.Run(arguments, args) : new Worker(arguments, target).Run();
}
catch (UsageException wrong)
{
    Console.Error.WriteLine($"fuzz: {wrong.Message} (see --help)");
    return 2;
}

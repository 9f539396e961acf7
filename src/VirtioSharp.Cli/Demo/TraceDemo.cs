using VirtioSharp.Cli.Trace;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Demo;

/// <summary><c>vio demo --trace</c>: the way of the driver's first request.</summary>
internal static class TraceDemo
{
    /// <summary>The way is walked so often before the walk that is shown, or its times would be those of the compiler.</summary>
    private const int Rehearsals = 100;

    public static int Run(DemoDevice device, DemoTransport kind, WalkFormat format)
    {
        // QEMU takes seconds to start, and its half of the way is compiled already.
        for (int rehearsal = kind == DemoTransport.Qemu ? Rehearsals - 1 : 0; rehearsal < Rehearsals; rehearsal++)
            Walk(device, kind == DemoTransport.Qemu ? DemoTransport.Pci : kind, out _);
        WalkOutput.Write(Walk(device, kind, out string picture), picture, format);
        return ExitCode.Success;
    }

    private static Walk Walk(DemoDevice device, DemoTransport kind, out string picture)
    {
        var walk = new Walk();
        using var machine = new DemoMachine(device, kind, walk);
        picture = machine.Picture;
        device.Request(machine.Driver);
        walk.Close();
        return walk;
    }
}

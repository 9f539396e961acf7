using VirtioSharp.Qemu.Qtest;

namespace VirtioSharp.Qemu.Tests.Qtest;

/// <summary>Machines of the real QEMU, or the reason why this computer cannot make one.</summary>
internal static class Machines
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static Task<QtestMachine> StartAsync(QtestMachineType type, params string[] devices) =>
        StartAsync(new QtestOptions { Machine = type, Devices = devices });

    public static Task<QtestMachine> StartAsync(QtestOptions options)
    {
        if (!QtestMachine.CanRun(options.Machine, out string? whyNot))
            Assert.Skip(whyNot);
        return QtestMachine.StartAsync(options, Cancel);
    }
}

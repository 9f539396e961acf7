using Spectre.Console;
using VirtioSharp.Qemu;

namespace VirtioSharp.Cli.Boot;

/// <summary>A guest that ran to its end on one of our daemons: what it told, and the first bytes that it handed over.</summary>
internal sealed record BootedGuest(IReadOnlyList<GuestEvent> Events, byte[] Results)
{
    /// <summary>Boots it with the daemon's device, and shows its steps while it runs.</summary>
    /// <exception cref="UserException">The guest failed; its last words are in the message.</exception>
    public static async Task<BootedGuest> RunAsync(
        Daemon daemon, GuestOptions guest, Func<GuestEvent, string?> describe, int resultBytes, CancellationToken cancellation)
    {
        string device = $"vhost-user-{daemon.Device}-pci";
        guest = guest with { Devices = ["-chardev", $"socket,id=c0,path={daemon.SocketPath}", "-device", $"{device},chardev=c0"] };
        AnsiConsole.WriteLine($"device: {daemon.CommandLine}");
        AnsiConsole.WriteLine($"guest:  Linux {guest.Kernel.Release} in QEMU (TCG) with {device} on that socket");
        byte[] results = [];
        try
        {
            IReadOnlyList<GuestEvent> events = await Progress.ShowAsync(describe, async onEvent =>
            {
                await using GuestMachine machine = GuestMachine.Start(guest with { OnEvent = onEvent });
                IReadOnlyList<GuestEvent> seen = await machine.RunToEndAsync(TimeSpan.FromMinutes(2), cancellation).ConfigureAwait(false);
                results = resultBytes == 0 ? [] : machine.ReadResults(resultBytes);
                return seen;
            }).ConfigureAwait(false);
            return new BootedGuest(events, results);
        }
        catch (GuestException failed)
        {
            throw new UserException(failed.Message);
        }
    }

    /// <summary>What the guest said last of this.</summary>
    /// <exception cref="UserException">It said nothing of it.</exception>
    public string Value(string key) => Events.LastOrDefault(one => one.Key == key)?.Value
        ?? throw new UserException($"the guest ended without a word on '{key}'; its last lines: {string.Join(" | ", Events.TakeLast(5).Select(one => one.Line))}");
}

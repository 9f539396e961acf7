using System.Text.Json;
using System.Text.Json.Nodes;
using VirtioSharp.Core.Memory;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using Xunit;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>One of QEMU's own virtio devices on a PCI bus, and the way to it. A machine for each.</summary>
internal sealed class QemuDevice : IAsyncDisposable
{
    public const string Column = "QEMU 7.2 PCI, modern";

    private QemuDevice(QtestMachine machine, VirtioPciTransport transport, TemporaryDirectory files) =>
        (Machine, Transport, Files) = (machine, transport, files);

    public static TimeSpan Patience { get; } = TimeSpan.FromSeconds(30);

    public QtestMachine Machine { get; }

    public VirtioPciTransport Transport { get; }

    public DmaArena Dma => Transport.Dma;

    public TemporaryDirectory Files { get; }

    /// <summary>Starts a machine, or skips the test where there is no QEMU.</summary>
    /// <param name="type">Which device to open.</param>
    /// <param name="arguments">What makes it, given a directory for its files.</param>
    public static async Task<QemuDevice> StartAsync(DeviceId type, Func<TemporaryDirectory, string[]> arguments)
    {
        if (!QtestMachine.CanRun(QtestMachineType.Q35, out string? whyNot))
            Assert.Skip(whyNot);
        var files = new TemporaryDirectory();
        QtestMachine? machine = null;
        try
        {
            machine = await QtestMachine.StartAsync(new QtestOptions { Devices = arguments(files) }, TestContext.Current.CancellationToken);
            var bus = new PciBus(new QtestPciHost(machine));
            bus.Scan();
            VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(type)!, new PciDriverOptions { Interface = PciInterface.Modern });
            return new QemuDevice(machine, transport, files);
        }
        catch
        {
            if (machine is not null)
                await machine.DisposeAsync();
            files.Dispose();
            throw;
        }
    }

    public Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null) =>
        Machine.ExecuteAsync(command, arguments, TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        Transport.Dispose();
        await Machine.DisposeAsync();
        Files.Dispose();
    }
}

using System.Text.Json;
using System.Text.Json.Nodes;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Memory;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using VirtioSharp.Transports.Mmio;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;
using Xunit;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>A device at the end of a way, and what it takes to have it: a machine, a daemon, files. All of it goes when this is disposed.</summary>
internal sealed class Rig : IAsyncDisposable
{
    /// <summary>Where PCI functions are.</summary>
    public static readonly PciAddress Slot = new(0, 4);

    private readonly Stack<IAsyncDisposable> _parts = [];
    private DriverSession? _session;

    private Rig(Way way) => Way = way;

    /// <summary>Far beyond what any step takes, even with both cores busy; only a hang gets here.</summary>
    public static TimeSpan Patience { get; } = TimeSpan.FromSeconds(30);

    public Way Way { get; }

    public IDriverTransport Transport { get; private set; } = null!;

    public DmaArena Dma => Transport.Dma;

    /// <summary>QEMU, if the way goes through it.</summary>
    public QtestMachine? Machine { get; private set; }

    /// <summary>Our device's host, if it is in this process.</summary>
    public DeviceHost? Host { get; private set; }

    /// <summary>The bus that the device is on, if it is a PCI function.</summary>
    public PciBus? PciBus { get; private set; }

    /// <summary>The bus's host, if it is in this process.</summary>
    public SoftwarePciHost? PciHost { get; private set; }

    public TemporaryDirectory Files { get; } = new();

    /// <summary>Sets everything up, or skips the test where there is no QEMU.</summary>
    /// <param name="way">How to reach the device.</param>
    /// <param name="model">The device.</param>
    /// <param name="isPlugged">Whether it is there from the start; otherwise there is no transport yet.</param>
    public static async Task<Rig> OpenAsync(Way way, Model model, bool isPlugged = true)
    {
        var rig = new Rig(way);
        try
        {
            if (way.IsQemu)
                await rig.StartQemuAsync(model, isPlugged);
            else
                rig.Join(model, isPlugged);
            return rig;
        }
        catch
        {
            await rig.DisposeAsync();
            throw;
        }
    }

    /// <summary>Negotiates with the device, as the way wants it.</summary>
    public DriverSession Negotiate(DriverFeatures? features = null)
    {
        _session = DriverSession.Open(Transport, Transport.DeviceId, features ?? new());
        Choose(_session);
        return _session;
    }

    /// <summary>Puts the device into a driver's hands.</summary>
    public TDriver Drive<TDriver>(VirtioDriver driver)
        where TDriver : BoundDevice
    {
        DriverSession session = Negotiate(driver.Features);
        var bound = Assert.IsType<TDriver>(driver.Probe(session));
        AssertIsAsWanted(session);
        return bound;
    }

    /// <summary>The same by way of a bus, which disposes the transport.</summary>
    public (TDriver Driver, BusDevice Device) Bind<TDriver>(VirtioBus bus, VirtioDriver driver)
        where TDriver : BoundDevice
    {
        bus.Register(Chosen(driver));
        BusDevice device = bus.Add(Transport);
        Assert.Null(device.LastFailure);
        return (Assert.IsType<TDriver>(device.Bound), device);
    }

    /// <summary>A driver that wants the way's kind of interrupt.</summary>
    public VirtioDriver Chosen(VirtioDriver driver) => new ChoosingDriver(driver, this);

    /// <summary>The ring and the interrupts are those of the way, and not what it fell back to.</summary>
    public void AssertIsAsWanted(DriverSession session)
    {
        Assert.Equal((Way.Packed, Way.IsLegacy), (session.NegotiatedFeatures.Has(Features.RingPacked), session.IsLegacy));
        if (Way.Target != Targets.Loopback && Way.IsPci)
            Assert.Equal(Way.Interrupts, session.Interrupts);
    }

    /// <summary>Opens the device anew, as a driver does that comes after another.</summary>
    public void Reopen(Model model)
    {
        if (Way.IsMmio)
            Transport = Machine is null ? OpenWindow() : OpenSlot(model);
        else if (Way.IsPci)
            Transport = OpenFunction(model);
        else
            return;
        Keep(Transport);
    }

    /// <summary>Tells QEMU something.</summary>
    public Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null) =>
        Machine!.ExecuteAsync(command, arguments, TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        _session?.Dispose();
        while (_parts.TryPop(out IAsyncDisposable? part))
            await part.DisposeAsync();
        Files.Dispose();
    }

    private void Join(Model model, bool isPlugged)
    {
        var host = new DeviceHostOptions { RingFeatures = DeviceHostOptions.AllRingFeatures - (Way.Packed ? default : Features.RingPacked) };
        const int Memory = 16 << 20;
        if (Way.Target == Targets.Loopback)
        {
            var loopback = new LoopbackTransport(model.Device, host, Memory, legacyAlignment: Way.IsLegacy ? 4096 : 0);
            (Transport, Host) = (loopback, loopback.Host);
            Keep(loopback);
        }
        else if (Way.IsMmio)
        {
            _machine = Keep(new SoftwareMmio(model.Device, new MmioFunctionOptions { Version = Way.IsLegacy ? MmioVersion.Legacy : MmioVersion.Current, Host = host }, Memory));
            Host = _machine.Function.Host;
            Reopen(model);
        }
        else
        {
            PciHost = Keep(new SoftwarePciHost(Memory));
            PciBus = Keep(new PciBus(PciHost));
            if (isPlugged)
                Plug(model);
        }
    }

    /// <summary>Puts the device into its slot of the bus in this process.</summary>
    public void Plug(Model model)
    {
        var function = new VirtioPciFunction(model.Device, new VirtioPciOptions
        {
            Interface = Way.IsTransitional ? VirtioPciInterface.Transitional : Way.IsLegacy ? VirtioPciInterface.Legacy : VirtioPciInterface.Modern,
            Host = new DeviceHostOptions { RingFeatures = DeviceHostOptions.AllRingFeatures - (Way.Packed ? default : Features.RingPacked) },
            Vectors = Way.Interrupts == InterruptKind.Line ? 0 : null,
        });
        Host = function.Host;
        PciHost!.Plug(Slot, function);
        Reopen(model);
    }

    private async Task StartQemuAsync(Model model, bool isPlugged)
    {
        QtestMachineType type = (Way.Target, Way.IsPci) switch
        {
            (Targets.Qemu or Targets.Daemon, true) => QtestMachineType.Q35,
            (Targets.Qemu or Targets.Daemon, false) => QtestMachineType.MicroVm,
            (_, true) => QtestMachineType.Pc,
            _ => QtestMachineType.ArmVirt,
        };
        if (!QtestMachine.CanRun(type, out string? whyNot))
            Assert.Skip(whyNot);
        if (Way.IsDaemon && model is Rng { ServedAt: null } rng)
            _parts.Push(await rng.ServeAsync(Files));
        Machine = await QtestMachine.StartAsync(new QtestOptions
        {
            Machine = type,
            Devices = isPlugged ? model.Arguments(Way, Files) : model.QemuBackEnd(Way, Files),
            LegacyMmio = Way.IsLegacy,
        }, TestContext.Current.CancellationToken);
        _parts.Push(Machine);
        if (Way.IsPci)
            PciBus = Keep(new PciBus(Keep(new QtestPciHost(Machine))));
        if (isPlugged)
            Reopen(model);
    }

    private VirtioPciTransport OpenFunction(Model model)
    {
        PciBus!.Scan();
        IPciFunction function = PciBus.OpenFirst(model.Id) ?? throw new InvalidOperationException($"there is no {model.Id} device on the bus");
        return PciDrivers.Open(function, new PciDriverOptions { Interface = Way.IsLegacy ? PciInterface.Legacy : PciInterface.Modern });
    }

    private MmioTransport OpenSlot(Model model)
    {
        QtestMmioSlot slot = QtestMmioSlot.Find(Machine!, model.Id) ?? throw new InvalidOperationException($"there is no {model.Id} device in a slot");
        return MmioTransport.Open(slot.Window, slot.Line, slot.Dma);
    }

    private SoftwareMmio? _machine;

    private MmioTransport OpenWindow() => _machine!.Open();

    private T Keep<T>(T part)
        where T : IDisposable
    {
        _parts.Push(new Synchronous(part));
        return part;
    }

    /// <summary>The line is what is left when a device has no vectors, and a vector for each queue is what is tried first.</summary>
    private void Choose(DriverSession session)
    {
        if (Way.Interrupts == InterruptKind.SharedVector)
            session.BestInterrupts = InterruptKind.SharedVector;
    }

    private sealed class ChoosingDriver(VirtioDriver inner, Rig rig) : VirtioDriver
    {
        public override string Name => inner.Name;

        public override IReadOnlyList<DeviceMatch> Devices => inner.Devices;

        public override DriverFeatures Features => inner.Features;

        public override BoundDevice Probe(DriverSession session)
        {
            rig.Choose(session);
            return inner.Probe(session);
        }
    }

    private sealed class Synchronous(IDisposable part) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            part.Dispose();
            return default;
        }
    }
}

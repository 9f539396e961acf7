using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Qemu;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Loopback;
using VirtioSharp.Transports.Mmio;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Demo;

/// <summary>A device, the way to it, and the bus that finds its driver, put together for the demo, with or without somebody who watches.</summary>
internal sealed class DemoMachine : IDisposable
{
    private static readonly PciAddress Place = new(0, 4);

    private readonly Stack<IDisposable> _parts = [];
    private readonly Walk? _walk;
    private readonly RingWatch? _rings;
    private readonly DeviceHostOptions _host = new();
    private readonly DemoDevice _kind;
    private readonly VirtioDevice _device;

    /// <param name="device">What is driven.</param>
    /// <param name="kind">What is between driver and device.</param>
    /// <param name="walk">Records what happens from here on; null for nobody.</param>
    public DemoMachine(DemoDevice device, DemoTransport kind, Walk? walk = null)
    {
        (_kind, _device, _walk) = (device, device.Make(), walk);
        if (walk is not null)
        {
            _rings = new RingWatch(walk);
            var traced = new TracingDevice(_device, walk, _rings);
            (_device, _host) = (traced, _host with { WatchInterrupts = traced.Watch });
        }

        try
        {
            IDriverTransport transport = Open(kind);
            Driver = Bind(walk is null ? transport : new TracingTransport(transport, walk, _rings!));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public BoundDevice Driver { get; }

    /// <summary>The device's side; null when it is another process's.</summary>
    public DeviceHost? Host { get; private set; }

    public string Picture { get; private set; } = "";

    public void Dispose()
    {
        while (_parts.TryPop(out IDisposable? part))
            part.Dispose();
    }

    private BoundDevice Bind(IDriverTransport transport)
    {
        VirtioBus bus = Keep(new VirtioBus());
        bus.Register(_walk is null ? _kind.MakeDriver() : new TracingDriver(_kind.MakeDriver(), _walk));
        WalkStep? add = _walk?.Begin(WalkSide.Driver, "add to the bus", "§3.1.1");
        BusDevice device = bus.Add(transport);
        _walk?.End(add, $"{device.Name}: {device.Driver?.Name ?? "no driver"}");
        return device.Bound ?? throw new UserException($"no driver has taken the device: {device.LastFailure?.Message ?? "none is for it"}");
    }

    private IDriverTransport Open(DemoTransport kind) => kind switch
    {
        DemoTransport.Pci => OpenPci(VirtioPciInterface.Modern),
        DemoTransport.PciLegacy => OpenPci(VirtioPciInterface.Legacy),
        DemoTransport.Mmio => OpenMmio(MmioVersion.Current),
        DemoTransport.MmioLegacy => OpenMmio(MmioVersion.Legacy),
        DemoTransport.Qemu => OpenQemu(),
        _ => OpenLoopback(),
    };

    private LoopbackTransport OpenLoopback()
    {
        Picture = $"{_kind.Names.Driver} ── rings in shared memory ── {_kind.Names.Device}: one process, no VM";
        LoopbackTransport transport = Keep(new LoopbackTransport(_device, _host));
        Host = transport.Host;
        return transport;
    }

    private VirtioPciTransport OpenPci(VirtioPciInterface personality)
    {
        Picture = $"{_kind.Names.Driver} ── {personality.ToString().ToLowerInvariant()} virtio-pci ── PCI bus ── virtio-pci function ── {_kind.Names.Device}: one process, no VM";
        var host = Keep(new SoftwarePciHost());
        var function = new VirtioPciFunction(_device, new VirtioPciOptions
        {
            Interface = personality,
            Host = _host,
        });
        Host = function.Host;
        if (_walk is not null)
            function.SetDoorbell(0, RingDoorbell);
        host.Plug(Place, function);
        return OpenOn(host);
    }

    private VirtioPciTransport OpenOn(IPciHost host)
    {
        WalkStep? scan = _walk?.Begin(WalkSide.Transport, "scan the bus", "§4.1.2");
        PciBus bus = Keep(new PciBus(host));
        bus.Scan();
        _walk?.End(scan, $"{bus.Functions.Count} function{(bus.Functions.Count == 1 ? "" : "s")}");
        WalkStep? open = _walk?.Begin(WalkSide.Transport, "open the function", "§4.1.5.1.1");
        IPciFunction function = bus.OpenFirst(_kind.Id)
            ?? throw new UserException("there is no such device on the bus");
        _walk?.End(open, $"{function.Name}: BARs placed, bus master on");
        WalkStep? choose = _walk?.Begin(WalkSide.Transport, "choose the interface", "§4.1.2");
        VirtioPciTransport transport = Keep(PciDrivers.Open(_walk is null ? function : new TracingFunction(function, _walk)));
        _walk?.End(choose, $"{transport.DeviceId}, {transport.GetType().Name}");
        return transport;
    }

    /// <summary>As a VMM's ioeventfd does: the address of the notification is answered without a trip through the registers.</summary>
    private void RingDoorbell()
    {
        WalkStep? step = _walk!.Begin(WalkSide.Device, "doorbell", "§4.1.5.2");
        bool more = Host!.Notify(0);
        while (more)
            more = Host.Service(0);
        _walk.End(step, "what is an ioeventfd in a VMM");
    }

    private MmioTransport OpenMmio(MmioVersion version)
    {
        Picture = $"{_kind.Names.Driver} ── virtio-mmio, version {(int)version} ── {_kind.Names.Device}: one process, no VM";
        SoftwareMmio machine = Keep(new SoftwareMmio(_device, new MmioFunctionOptions { Version = version, Host = _host }));
        Host = machine.Function.Host;
        return Keep(_walk is null
            ? machine.Open()
            : MmioTransport.Open(new TracingWindow(machine, _walk, "mmio", RegisterNames.Mmio()), machine, machine.Dma, machine.Time));
    }

    private VirtioPciTransport OpenQemu()
    {
        Picture = $"{_kind.Names.Driver} ── modern virtio-pci ── qtest ── QEMU's {(_kind.Id == DeviceId.Block ? "virtio-blk-pci" : "virtio-rng-pci")}: two processes, no guest";
        QtestMachine machine;
        try
        {
            machine = QtestMachine.StartAsync(new QtestOptions
            {
                Devices = _kind.Qemu,
            }).GetAwaiter().GetResult();
        }
        catch (GuestException absent)
        {
            throw new UserException(absent.Message);
        }

        _parts.Push(new Ending(machine));
        return OpenOn(Keep(new QtestPciHost(machine)));
    }

    private T Keep<T>(T part)
        where T : IDisposable
    {
        _parts.Push(part);
        return part;
    }

    private sealed class Ending(QtestMachine machine) : IDisposable
    {
        public void Dispose() => machine.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Transports.Mmio;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The registers of one device under a test's fingers, and what its host has said of the driver.</summary>
internal sealed class Panel : IDisposable, IDeviceObserver
{
    public const uint Acknowledge = 1, Driver = 2, DriverOk = 4, FeaturesOk = 8, NeedsReset = 64;
    public const ulong Ring = 0x1_0000_0000;

    public Panel(MmioVersion version = MmioVersion.Current, VirtioDevice? device = null, FeatureSet? ring = null) =>
        Machine = new SoftwareMmio(device ?? Device, new MmioFunctionOptions
        {
            Version = version,
            Host = new DeviceHostOptions { Observer = this, RingFeatures = ring ?? DeviceHostOptions.AllRingFeatures },
        });

    public ConsoleStub Device { get; } = new();

    public SoftwareMmio Machine { get; }

    public DeviceHost Host => Machine.Function.Host;

    public string? Complaint { get; private set; }

    public uint this[int register]
    {
        get => Machine.Read((ulong)register, 4);
        set => Machine.Write((ulong)register, 4, value);
    }

    /// <summary>As far as FEATURES_OK, with VERSION_1 and whatever else.</summary>
    public void Negotiate(FeatureSet more = default)
    {
        FeatureSet features = more | Features.Version1;
        this[MmioRegister.Status] = 0;
        this[MmioRegister.Status] = Acknowledge | Driver;
        for (uint word = 0; word < 4; word++)
        {
            this[MmioRegister.DriverFeaturesSelect] = word;
            this[MmioRegister.DriverFeatures] = features.Word(word);
        }

        this[MmioRegister.Status] = Acknowledge | Driver | FeaturesOk;
    }

    /// <summary>Writes the registers of a queue, all but the last that enables it.</summary>
    public void Place(uint queue = 0, uint size = 16, ulong descriptors = Ring, ulong driver = Ring + 0x1000, ulong device = Ring + 0x2000)
    {
        this[MmioRegister.QueueSelect] = queue;
        this[MmioRegister.QueueSize] = size;
        Write64(MmioRegister.QueueDescriptorArea, descriptors);
        Write64(MmioRegister.QueueDriverArea, driver);
        Write64(MmioRegister.QueueDeviceArea, device);
    }

    /// <summary>Makes it run with queue 0.</summary>
    public void Start(FeatureSet more = default)
    {
        Negotiate(more);
        Place();
        this[MmioRegister.QueueReady] = 1;
        this[MmioRegister.Status] = Acknowledge | Driver | FeaturesOk | DriverOk;
    }

    public void Dispose() => Machine.Dispose();

    void IDeviceObserver.ChainFaulted(int queue, ChainFault fault)
    {
    }

    void IDeviceObserver.NeedsReset(int queue, Exception reason) => Complaint = reason.Message;

    private void Write64(int register, ulong value)
    {
        this[register] = (uint)value;
        this[register + 4] = (uint)(value >> 32);
    }
}

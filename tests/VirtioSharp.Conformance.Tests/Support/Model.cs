using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;
using VirtioSharp.Testing;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>A kind of device, as ours and as QEMU's, with what goes on behind it.</summary>
internal abstract class Model
{
    public abstract DeviceId Id { get; }

    /// <summary>Ours.</summary>
    public abstract VirtioDevice Device { get; }

    /// <summary>QEMU's name of it, without the bus, and its properties.</summary>
    public abstract (string Driver, string Properties) QemuDevice(Way way);

    /// <summary>What QEMU needs before it can make the device.</summary>
    public abstract string[] QemuBackEnd(Way way, TemporaryDirectory files);

    /// <summary>What QEMU is given after the device.</summary>
    public virtual string[] QemuChildren => [];

    /// <summary>Whether QEMU's PCI function can have MSI-X.</summary>
    protected virtual bool QemuHasVectors => true;

    /// <summary>QEMU's arguments.</summary>
    public string[] Arguments(Way way, TemporaryDirectory files)
    {
        (string driver, string properties) = QemuDevice(way);
        string interfaces = way.Personality switch
        {
            _ when way.IsDaemon => "",
            Personality.Pci => ",disable-legacy=on",
            Personality.LegacyPci => ",disable-legacy=off,disable-modern=on",
            Personality.Mmio or Personality.LegacyMmio => "",
            _ => ",disable-legacy=off,disable-modern=off",
        };
        // So that the driver gets the kind by trying them: QEMU's own numbers differ from device to device.
        int vectors = way.Interrupts switch { InterruptKind.Line => 0, InterruptKind.SharedVector => 2, _ => 16 };
        string place = !way.IsPci ? "" : QemuHasVectors ? $",addr=4,vectors={vectors}" : ",addr=4";
        return [.. QemuBackEnd(way, files), "-device", $"{driver}{properties}{interfaces}{place}{(way.Packed ? ",packed=on" : "")}", .. QemuChildren];
    }

    /// <summary>"virtio-rng-pci" or "virtio-rng-device".</summary>
    protected static string Named(string name, Way way) => $"{name}-{(way.IsPci ? "pci" : "device")}";
}

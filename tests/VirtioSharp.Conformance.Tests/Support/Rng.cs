using VirtioSharp.Core.Device;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>An entropy device. Our daemon's bytes are known, so that their order can be seen.</summary>
internal sealed class Rng : Model
{
    private const int Bytes = 64 * 1024;

    public override DeviceId Id => DeviceId.Entropy;

    public override VirtioDevice Device { get; } = new RngDevice();

    /// <summary>What our daemon gives to each driver, from the start.</summary>
    public byte[] Source { get; } = NewSource();

    /// <summary>The socket of a daemon that runs already; null if one is to be started.</summary>
    public string? ServedAt { get; init; }

    /// <summary>More properties for QEMU's device.</summary>
    public string Properties { get; init; } = "";

    public override (string, string) QemuDevice(Way way) => way.IsDaemon
        ? (way.IsPci ? "vhost-user-rng-pci" : "vhost-user-rng", ",chardev=c0" + Properties)
        : (Named("virtio-rng", way), ",rng=r0" + Properties);

    public override string[] QemuBackEnd(Way way, TemporaryDirectory files) => way.IsDaemon
        ? ["-chardev", $"socket,id=c0,path={ServedAt ?? files["sock"]}"]
        : ["-object", "rng-builtin,id=r0"];

    /// <summary>Starts the daemon.</summary>
    public async Task<VioProcess> ServeAsync(TemporaryDirectory files)
    {
        await File.WriteAllBytesAsync(files["source"], Source);
        return await VioProcess.ServeRngAsync(files["sock"], "--rng-source", files["source"]);
    }

    private static byte[] NewSource()
    {
        byte[] bytes = new byte[Bytes];
        new Random(Bytes).NextBytes(bytes);
        return bytes;
    }
}

using System.Security.Cryptography;
using System.Text;
using VirtioSharp.Backends.Block;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Cli.Demo;

/// <summary>A device that the demo knows: what it is, who drives it, and what the driver asks of it.</summary>
internal abstract class DemoDevice
{
    public static DemoDevice Of(DemoDeviceKind kind) => kind == DemoDeviceKind.Blk ? new Blk() : new Rng();

    public abstract DeviceId Id { get; }

    /// <summary>The driver's and the device's type, for a picture.</summary>
    public abstract (string Driver, string Device) Names { get; }

    /// <summary>What makes QEMU have such a device, at address 4 of the bus.</summary>
    public abstract string[] Qemu { get; }

    public abstract VirtioDevice Make();

    public abstract VirtioDriver MakeDriver();

    /// <summary>Fills a buffer through the driver.</summary>
    /// <returns>How many bytes came.</returns>
    public abstract int Read(BoundDevice driver, Span<byte> bytes);

    /// <summary>One request, to be watched.</summary>
    public abstract void Request(BoundDevice driver);

    private sealed class Rng : DemoDevice
    {
        public override DeviceId Id => DeviceId.Entropy;

        public override (string Driver, string Device) Names => (nameof(RngDriver), nameof(RngDevice));

        public override string[] Qemu => ["-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0,addr=4,disable-legacy=on"];

        public override VirtioDevice Make() => new RngDevice();

        public override VirtioDriver MakeDriver() => new VirtioRng();

        public override int Read(BoundDevice driver, Span<byte> bytes) => ((RngDriver)driver).Read(bytes, TimeSpan.FromSeconds(1));

        public override void Request(BoundDevice driver)
        {
            if (((RngDriver)driver).EarlyRandomness.Length == 0)
                ((RngDriver)driver).Read(new byte[64], TimeSpan.FromSeconds(5));
        }
    }

    /// <summary>A disk in memory; each of its sectors begins with its number.</summary>
    private sealed class Blk : DemoDevice
    {
        private const int DiskBytes = 1 << 20;
        private const ulong WatchedSector = 8;

        public override DeviceId Id => DeviceId.Block;

        public override (string Driver, string Device) Names => (nameof(BlockDriver), nameof(BlockDevice));

        public override string[] Qemu => ["-blockdev", $"driver=null-co,read-zeroes=on,size={DiskBytes},node-name=d0", "-device", "virtio-blk-pci,drive=d0,addr=4,disable-legacy=on"];

        public override VirtioDevice Make()
        {
            byte[] disk = new byte[DiskBytes];
            for (int sector = 0; sector < DiskBytes / BlockLayout.SectorBytes; sector++)
                Encoding.ASCII.GetBytes($"sector {sector} ", disk.AsSpan(sector * BlockLayout.SectorBytes));
            return new BlockDevice(new MemoryBackend(disk));
        }

        public override VirtioDriver MakeDriver() => new VirtioBlock();

        /// <summary>What is read has been written before, at random.</summary>
        public override int Read(BoundDevice driver, Span<byte> bytes)
        {
            var disk = (BlockDriver)driver;
            Span<byte> written = new byte[BlockLayout.SectorBytes], read = new byte[BlockLayout.SectorBytes];
            for (int at = 0; at < bytes.Length; at += BlockLayout.SectorBytes)
            {
                ulong sector = (ulong)at / BlockLayout.SectorBytes % disk.Capacity;
                RandomNumberGenerator.Fill(written);
                disk.Write(sector, written);
                disk.Read(sector, read);
                if (!read.SequenceEqual(written))
                    return at;
                read[..Math.Min(read.Length, bytes.Length - at)].CopyTo(bytes[at..]);
            }

            disk.Flush();
            return bytes.Length;
        }

        public override void Request(BoundDevice driver) => ((BlockDriver)driver).Read(WatchedSector, new byte[BlockLayout.SectorBytes]);
    }
}

/// <summary>Which device the demo shows.</summary>
internal enum DemoDeviceKind
{
    /// <summary>The entropy device: the simplest there is.</summary>
    Rng,
    /// <summary>A block device, a disk in memory.</summary>
    Blk,
}

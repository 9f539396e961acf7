using System.Text.Json;
using VirtioSharp.Core.Device;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>A block device whose contents can be looked at: an array, or the file behind QEMU's.</summary>
internal sealed class Disk : Model
{
    public const int Sectors = 8192;
    public const string Serial = "disk-0815";

    private readonly int _queues;
    private readonly MemoryDisk _memory;

    public Disk(int queues = 1, bool isReadOnly = false)
    {
        (_queues, IsReadOnly) = (queues, isReadOnly);
        FeatureSet features = BlockFeatures.SegMax | BlockFeatures.BlockSize | BlockFeatures.Flush | BlockFeatures.ConfigWriteback
            | BlockFeatures.Discard | BlockFeatures.WriteZeroes | (queues > 1 ? BlockFeatures.MultiQueue : default) | (isReadOnly ? BlockFeatures.ReadOnly : default);
        var space = new BlockConfiguration
        {
            SegMax = 30,
            BlockSize = 512,
            Writeback = 1,
            QueueCount = (ushort)queues,
            MaxDiscardSectors = 1000,
            MaxDiscardSegments = 1,
            DiscardSectorAlignment = 8,
            MaxWriteZeroesSectors = 1000,
            MaxWriteZeroesSegments = 1,
            WriteZeroesMayUnmap = 1,
        };
        _memory = new MemoryDisk(2 * Sectors, features, space, queues) { Id = Serial, Records = false, RestoresWriteback = true }; // room to grow
        _memory.Resize(Sectors, notify: false);
    }

    public override DeviceId Id => DeviceId.Block;

    public override VirtioDevice Device => _memory;

    /// <summary>More properties for QEMU's device.</summary>
    public string Properties { get; init; } = "";

    private bool IsReadOnly { get; }

    public override (string, string) QemuDevice(Way way) => (Named("virtio-blk", way), $",id=blk,drive=d0,serial={Serial},num-queues={_queues}{Properties}");

    public override string[] QemuBackEnd(Way way, TemporaryDirectory files)
    {
        File.WriteAllBytes(files["disk"], new byte[Sectors * 512]);
        return ["-drive", $"if=none,id=d0,format=raw,discard=unmap,file={files["disk"]}{(IsReadOnly ? ",readonly=on" : "")}"];
    }

    /// <summary>All that is in it.</summary>
    public byte[] Contents(Rig rig) => rig.Machine is null ? _memory.Sectors[..(Sectors * 512)] : File.ReadAllBytes(rig.Files["disk"]);

    /// <summary>Gives it another size, of which the device tells its driver.</summary>
    public Task ResizeAsync(Rig rig, int sectors)
    {
        if (rig.Machine is not null)
            return rig.ExecuteAsync("block_resize", new() { ["device"] = "d0", ["size"] = (long)sectors * 512 });
        _memory.Resize((ulong)sectors);
        return Task.CompletedTask;
    }

    /// <summary>What QEMU counts of the file.</summary>
    public static async Task<JsonElement> FileStatisticsAsync(Rig rig)
    {
        JsonElement all = await rig.ExecuteAsync("query-blockstats", new() { ["query-nodes"] = true });
        return all.EnumerateArray().Select(node => node.TryGetProperty("driver-specific", out JsonElement own) ? own : default)
            .Single(own => own.ValueKind == JsonValueKind.Object);
    }
}

using System.Globalization;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Probe;

/// <summary>A field of a device's configuration space.</summary>
/// <param name="Name">The specification's.</param>
/// <param name="Offset">Where it lies.</param>
/// <param name="Size">Bytes: 1, 2, 4 or 8, or an array's.</param>
/// <param name="Feature">The bit without which it means nothing; null always does.</param>
internal sealed record ConfigurationField(string Name, int Offset, int Size, int? Feature);

/// <summary>What a kind of device calls its feature bits and the fields of its configuration space.</summary>
internal sealed class DeviceSheet
{
    /// <summary>Feature bits as NAME:bit; fields as name:bytes, or name:bytes/bit when they depend on a feature; "-" is padding.</summary>
    private DeviceSheet(string name, DeviceId id, string features = "", string fields = "")
    {
        (Name, Id) = (name, id);
        Features = Words(features).ToDictionary(word => Number(word[(word.IndexOf(':') + 1)..]), word => word[..word.IndexOf(':')]);
        int offset = 0;
        var all = new List<ConfigurationField>();
        foreach (string[] parts in Words(fields).Select(word => word.Split(':', '/')))
        {
            int size = Number(parts[1]);
            if (parts[0] != "-")
                all.Add(new ConfigurationField(parts[0], offset, size, parts.Length > 2 ? Number(parts[2]) : null));
            offset += size;
        }

        Fields = all;
    }

    /// <summary>By the name that vhost-user's conventions give them; the specification's §5.x.3 and §5.x.4.</summary>
    public static IReadOnlyList<DeviceSheet> All { get; } =
    [
        new("rng", DeviceId.Entropy),
        new("blk", DeviceId.Block,
            "SIZE_MAX:1 SEG_MAX:2 GEOMETRY:4 RO:5 BLK_SIZE:6 FLUSH:9 TOPOLOGY:10 CONFIG_WCE:11 MQ:12 DISCARD:13 WRITE_ZEROES:14 LIFETIME:15 SECURE_ERASE:16 ZONED:17",
            """
            capacity:8 size_max:4/1 seg_max:4/2 cylinders:2/4 heads:1/4 sectors:1/4 blk_size:4/6
            physical_block_exp:1/10 alignment_offset:1/10 min_io_size:2/10 opt_io_size:4/10 writeback:1/11 -:1 num_queues:2/12
            max_discard_sectors:4/13 max_discard_seg:4/13 discard_sector_alignment:4/13
            max_write_zeroes_sectors:4/14 max_write_zeroes_seg:4/14 write_zeroes_may_unmap:1/14 -:3
            max_secure_erase_sectors:4/16 max_secure_erase_seg:4/16 secure_erase_sector_alignment:4/16
            zone_sectors:4/17 max_open_zones:4/17 max_active_zones:4/17 max_append_sectors:4/17 write_granularity:4/17 model:1/17
            """),
        new("console", DeviceId.Console, "SIZE:0 MULTIPORT:1 EMERG_WRITE:2", "cols:2/0 rows:2/0 max_nr_ports:4/1 emerg_wr:4/2"),
        new("balloon", DeviceId.Balloon,
            "MUST_TELL_HOST:0 STATS_VQ:1 DEFLATE_ON_OOM:2 FREE_PAGE_HINT:3 PAGE_POISON:4 PAGE_REPORTING:5",
            "num_pages:4 actual:4 free_page_hint_cmd_id:4/3 poison_val:4/4"),
        new("net", DeviceId.Network,
            "CSUM:0 GUEST_CSUM:1 CTRL_GUEST_OFFLOADS:2 MTU:3 MAC:5 GUEST_TSO4:7 GUEST_TSO6:8 GUEST_ECN:9 GUEST_UFO:10 HOST_TSO4:11 HOST_TSO6:12 HOST_ECN:13 HOST_UFO:14 MRG_RXBUF:15 STATUS:16 CTRL_VQ:17 CTRL_RX:18 CTRL_VLAN:19 GUEST_ANNOUNCE:21 MQ:22 CTRL_MAC_ADDR:23 HASH_REPORT:57 RSS:60 SPEED_DUPLEX:63",
            "mac:6/5 status:2/16 max_virtqueue_pairs:2/22 mtu:2/3 speed:4/63 duplex:1/63"),
        new("scsi", DeviceId.Scsi, "INOUT:0 HOTPLUG:1 CHANGE:2 T10_PI:3",
            "num_queues:4 seg_max:4 max_sectors:4 cmd_per_lun:4 event_info_size:4 sense_size:4 cdb_size:4 max_channel:2 max_target:2 max_lun:4"),
        new("gpu", DeviceId.Gpu, "VIRGL:0 EDID:1 RESOURCE_UUID:2 RESOURCE_BLOB:3 CONTEXT_INIT:4", "events_read:4 events_clear:4 num_scanouts:4 num_capsets:4"),
        new("input", DeviceId.Input),
        new("vsock", DeviceId.Vsock, "STREAM:0 SEQPACKET:1 NO_IMPLIED_STREAM:2", "guest_cid:8"),
        new("sound", DeviceId.Sound, "CTLS:0", "jacks:4 streams:4 chmaps:4 controls:4/0"),
        new("fs", DeviceId.FileSystem, "NOTIFICATION:0", "tag:36 num_request_queues:4 notify_buf_size:4/0"),
        new("i2c", DeviceId.I2c, "ZERO_LENGTH_REQUEST:0"),
        new("gpio", DeviceId.Gpio, "IRQ:0", "ngpio:2 -:2 gpio_names_size:4"),
    ];

    public string Name { get; }

    public DeviceId Id { get; }

    public IReadOnlyDictionary<int, string> Features { get; }

    public IReadOnlyList<ConfigurationField> Fields { get; }

    private static string[] Words(string text) => text.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}

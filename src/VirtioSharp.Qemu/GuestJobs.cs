namespace VirtioSharp.Qemu;

/// <summary>
/// Shell texts for the guest. Each tells its results as <c>@vio</c> events; the words it can use
/// (<c>vio</c>, <c>vio_reboot</c>, <c>$VIO_RESULTS</c> …) come from our init.
/// </summary>
public static class GuestJobs
{
    // EPOCHREALTIME is the only clock of busybox that is finer than a hundredth of a second.
    // iflag=fullblock because /dev/hwrng answers with a few bytes at a time.
    private const string Measure = """
        vio_now() { echo ${EPOCHREALTIME%.*}${EPOCHREALTIME#*.}; }
        vio_measure() { # block count file: reads so many blocks of /dev/hwrng into the file
            start=$(vio_now)
            dd if=/dev/hwrng of=$3 bs=$1 count=$2 iflag=fullblock 2>/dev/null || return
            took=$(( $(vio_now) - start ))
            vio read $(( $1 * $2 )) $(printf %d.%06d $(( took / 1000000 )) $(( took % 1000000 )))
        }
        vio rng-current $(cat /sys/class/misc/hw_random/rng_current)

        """;

    /// <summary>
    /// Tells which entropy source Linux uses. Event: <c>rng-current</c> (<c>virtio_rng.0</c>; <c>none</c> without a device).
    /// </summary>
    public static string RngCurrent { get; } = "vio rng-current $(cat /sys/class/misc/hw_random/rng_current)";

    /// <summary>
    /// Reads <paramref name="bytes"/> of /dev/hwrng and hands them to the host on the results disk. Events:
    /// <c>rng-current</c>, <c>read</c> (bytes, seconds), <c>head</c> (the first 32 bytes in hexadecimal),
    /// <c>delivered</c>. A multiple of 64 KiB, or less than that.
    /// </summary>
    public static string ReadRng(long bytes) => Measure + $"""
        vio_measure {Blocks(bytes)} /tmp/random || exit
        vio head $(od -An -v -tx1 -N32 /tmp/random | tr -d ' \n')
        dd if=/tmp/random of=$VIO_RESULTS bs=64k conv=fsync 2>/dev/null && vio delivered
        """;

    /// <summary>
    /// Reads <paramref name="bytes"/> of /dev/hwrng <paramref name="rounds"/> times and throws them away. Events:
    /// <c>rng-current</c>, then <c>read</c> (bytes, seconds) for each round. A multiple of 64 KiB, or less than that.
    /// </summary>
    public static string RngThroughput(long bytes, int rounds) => Measure + $"""
        for round in $(seq {rounds}); do vio_measure {Blocks(bytes)} /dev/null; done
        """;

    /// <summary>Reads /dev/hwrng until the machine stops. Event: <c>read-total</c> (bytes so far) after each 16 KiB.</summary>
    public static string ReadRngForever { get; } = """
        total=0
        while dd if=/dev/hwrng of=/dev/null bs=16k count=1 iflag=fullblock 2>/dev/null; do
            vio read-total $(( total += 16384 ))
        done
        """;

    /// <summary>
    /// Reboots the guest <paramref name="times"/> times, and runs <paramref name="atEachBoot"/> every time.
    /// Event: <c>boot</c> (0 for the first). Counts on the results disk.
    /// </summary>
    public static string Reboot(int times, string atEachBoot = "") => $"""
        boot=$(vio_recall)
        vio boot $boot
        {atEachBoot}
        if [ $boot -lt {times} ]; then
            vio_remember $(( boot + 1 ))
            vio_reboot
        fi
        """;

    /// <summary>
    /// Shows the disk with a serial number: <c>disk</c> (name, 512-byte sectors), <c>mounted</c> (file system) and an
    /// <c>entry</c> (permissions, size, name) for each thing in its top directory, or <c>not-mounted</c>; then
    /// <c>disk-read</c> (bytes, seconds). Nothing is written to it.
    /// </summary>
    /// <param name="serial">The serial number.</param>
    /// <param name="mebibytes">How much of it to read, at the most.</param>
    public static string ShowDisk(string serial, int mebibytes) => $$"""
        vio_now() { echo ${EPOCHREALTIME%.*}${EPOCHREALTIME#*.}; }
        disk=
        for one in /sys/block/vd*; do [ "$(cat $one/serial 2>/dev/null)" = {{serial}} ] && disk=${one##*/}; done
        [ -n "$disk" ] || exit 1
        vio disk $disk $(cat /sys/block/$disk/size)
        mkdir -p /mnt
        if mount -t ext4 -o ro,noload /dev/$disk /mnt 2>/dev/null; then
            vio mounted $(grep " /mnt " /proc/mounts | cut -d " " -f 3)
            ls -lA /mnt | while read -r mode links owner group size month day time name; do [ -z "$name" ] || vio entry $mode $size "$name"; done
            umount /mnt
        else
            vio not-mounted
        fi
        start=$(vio_now)
        bytes=$(dd if=/dev/$disk bs=1M count={{mebibytes}} 2>/dev/null | wc -c)
        took=$(( $(vio_now) - start ))
        vio disk-read $bytes $(printf %d.%06d $(( took / 1000000 )) $(( took % 1000000 )))
        """;

    /// <summary>Does nothing until the host acts. No event of its own.</summary>
    public static string Wait { get; } = "while :; do sleep 1; done";

    private static string Blocks(long bytes)
    {
        const long block = 64 * 1024;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        return bytes < block ? $"{bytes} 1"
            : bytes % block == 0 ? $"{block} {bytes / block}"
            : throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"take less than {block} bytes, or a multiple of them");
    }
}

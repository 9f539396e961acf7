namespace VirtioSharp.Qemu;

/// <summary>
/// The first process of our guests: mounts, inserts modules, finds the results disk, runs the job and powers off.
/// It also gives jobs their vocabulary.
/// </summary>
internal static class GuestInit
{
    /// <summary>The serial number by which the guest tells our disk from the disks under test.</summary>
    public const string ResultsSerial = "vio-results";

    /// <summary>The init program, a busybox shell script.</summary>
    public const string Script = $$"""
        #!/bin/busybox sh
        export PATH=/bin
        mount -t proc proc /proc
        mount -t sysfs sys /sys
        mount -t devtmpfs dev /dev
        exec </dev/console >/dev/console 2>&1

        vio() { echo "{{GuestEvent.Marker}} $*"; }

        # stty changes settings only after the last character has left (TCSADRAIN); power-off would not wait for it.
        vio_flush() { sync; stty -echo; }
        vio_reboot() { vio_flush; reboot -f; }

        # A number that outlives a reboot, in the last sector of the results disk. It is 0 on a new disk.
        vio_last_sector() { echo $(( $(cat /sys/block/${VIO_RESULTS#/dev/}/size) - 1 )); }
        vio_recall() { n=$(dd if=$VIO_RESULTS bs=512 skip=$(vio_last_sector) count=1 2>/dev/null | tr -cd 0-9); echo ${n:-0}; }
        vio_remember() { echo "$1" | dd of=$VIO_RESULTS bs=512 seek=$(vio_last_sector) count=1 conv=sync 2>/dev/null; sync; }

        while read -r module; do
            insmod /modules/$module || vio problem insmod $module
        done </modules/order

        VIO_RESULTS=
        for disk in /sys/block/vd*; do
            [ "$(cat $disk/serial 2>/dev/null)" = {{ResultsSerial}} ] && VIO_RESULTS=/dev/${disk##*/}
        done

        read -r up idle </proc/uptime
        vio {{GuestEvent.Up}} $up
        ( . /job.sh )
        vio {{GuestEvent.Done}} $?
        vio_flush
        poweroff -f

        """;
}

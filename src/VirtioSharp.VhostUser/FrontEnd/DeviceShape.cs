using VirtioSharp.Spec;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>What a kind of device has and the protocol does not tell.</summary>
internal static class DeviceShape
{
    /// <summary>Queues that it has at the least. A back-end without MQ has no more, and cannot be asked.</summary>
    public static int LeastQueues(DeviceId id) => id switch
    {
        DeviceId.Network or DeviceId.Console or DeviceId.Balloon or DeviceId.Gpu or DeviceId.Input or DeviceId.Crypto
            or DeviceId.Iommu or DeviceId.FileSystem => 2,
        DeviceId.Scsi or DeviceId.Vsock => 3,
        DeviceId.Sound => 4,
        _ => 1,
    };

    /// <summary>Bytes that its configuration space has had so far, in one version of the specification or another. There are
    /// back-ends that answer for all of it or not at all.</summary>
    public static ReadOnlySpan<int> ConfigurationSizes(DeviceId id) => id switch
    {
        DeviceId.Network => [10, 12, 17, 24],
        DeviceId.Block => [36, 60, 72, 96],
        DeviceId.Console => [12],
        DeviceId.Balloon => [8, 12, 16],
        DeviceId.Scsi => [36],
        DeviceId.Gpu => [16, 20],
        DeviceId.Input => [136],
        DeviceId.Vsock => [8],
        DeviceId.Crypto => [56],
        DeviceId.Iommu => [40],
        DeviceId.Memory => [56],
        DeviceId.Sound => [12, 16],
        DeviceId.FileSystem => [40, 44],
        DeviceId.PersistentMemory => [16],
        DeviceId.Gpio => [8],
        _ => [],
    };
}

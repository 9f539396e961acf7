using VirtioSharp.Core.Device;
using VirtioSharp.Spec;

namespace VirtioSharp.Drivers.Tests.Support;

/// <summary>The two ring formats, for theories.</summary>
internal static class Rings
{
    public static DeviceHostOptions Options(bool packed) => new()
    {
        RingFeatures = packed ? DeviceHostOptions.AllRingFeatures - Features.InOrder : DeviceHostOptions.AllRingFeatures - Features.RingPacked - Features.InOrder,
    };

    public static DeviceHostOptions Bare { get; } = new() { RingFeatures = Features.Version1 };
}

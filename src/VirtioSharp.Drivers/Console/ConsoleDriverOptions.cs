using VirtioSharp.Spec;

namespace VirtioSharp.Drivers.Console;

/// <summary>How a console is driven.</summary>
public sealed record ConsoleDriverOptions
{
    /// <summary>Most ports to use, from number 0 on; the device may allow fewer. Each costs two queues.</summary>
    public int MaxPorts { get; init; } = 8;

    /// <summary>Bytes of each of a port's buffers.</summary>
    public int BufferBytes { get; init; } = 4096;

    /// <summary>Buffers of a port, each way.</summary>
    public int Buffers { get; init; } = 4;

    /// <summary>The longest to wait until the device takes a control message.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Features not to accept, though understood.</summary>
    public FeatureSet Withheld { get; init; }
}

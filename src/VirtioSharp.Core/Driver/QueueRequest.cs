namespace VirtioSharp.Core.Driver;

/// <summary>What a driver asks of one of its device's virtqueues; the mirror of the device's <c>QueueTraits</c>.</summary>
/// <param name="Index">The queue's number.</param>
/// <param name="Name">The specification's name for it, as in "requestq" without the q.</param>
/// <param name="MaxSize">The most entries the driver has use for. A legacy interface takes no notice: there the device dictates the size.</param>
/// <param name="IsOptional">Whether the driver can do without: then a device that does not have it (its size reads 0) is no error.</param>
public readonly record struct QueueRequest(int Index, string Name, int MaxSize = QueueRequest.DefaultMaxSize, bool IsOptional = false)
{
    internal const int DefaultMaxSize = 256;
}

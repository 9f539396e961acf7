using System.Runtime.InteropServices;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>The buffer for in-flight tracking: GET_INFLIGHT_FD, SET_INFLIGHT_FD. 20 bytes of fields, 24 on the wire.</summary>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal readonly struct InflightDescription(ulong mmapSize, ulong mmapOffset, ushort numQueues, ushort queueSize)
{
    public const int Bytes = 24;

    public readonly ulong MmapSize = mmapSize;
    public readonly ulong MmapOffset = mmapOffset;
    public readonly ushort NumQueues = numQueues;
    public readonly ushort QueueSize = queueSize;
}

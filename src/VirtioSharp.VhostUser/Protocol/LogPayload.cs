using System.Runtime.InteropServices;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>SET_LOG_BASE: where the log of dirty pages lies in its file. The bit of guest address 0 is the first.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct LogDescription(ulong mmapSize, ulong mmapOffset)
{
    public const int Bytes = 16;

    public readonly ulong MmapSize = mmapSize;
    public readonly ulong MmapOffset = mmapOffset;
}

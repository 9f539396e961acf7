using System.Runtime.InteropServices;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What every message starts with, native endian.</summary>
/// <remarks>
/// <code>
///  0        4        8        12
///  +--------+--------+--------+------------------+
///  | request| flags  |  size  | payload, size B  |   + file descriptors as ancillary data
///  +--------+--------+--------+------------------+
///             bits 0-1 version = 1, bit 2 reply, bit 3 need reply
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct MessageHeader(uint request, MessageFlags flags, uint size)
{
    /// <summary>Bytes of a header.</summary>
    public const int Bytes = 12;

    public readonly uint Request = request;
    public readonly MessageFlags Flags = flags;
    public readonly uint Size = size;

    /// <summary>Whether it is of the only version there is.</summary>
    public bool IsVersion1 => (Flags & MessageFlags.VersionMask) == MessageFlags.Version1;

    /// <summary>Whether it says that it answers something.</summary>
    public bool IsReply => (Flags & MessageFlags.Reply) != 0;

    /// <summary>Writes a whole message into a buffer that has room for it, or more.</summary>
    /// <returns>The message.</returns>
    public static Span<byte> Compose(Span<byte> into, uint request, MessageFlags flags, ReadOnlySpan<byte> payload)
    {
        into = into[..(Bytes + payload.Length)];
        MemoryMarshal.Write(into, new MessageHeader(request, flags, (uint)payload.Length));
        payload.CopyTo(into[Bytes..]);
        return into;
    }
}

/// <summary>The second word of a header.</summary>
[Flags]
internal enum MessageFlags : uint
{
    None = 0,
    Version1 = 1,
    VersionMask = 3,
    Reply = 4,
    NeedReply = 8,
}

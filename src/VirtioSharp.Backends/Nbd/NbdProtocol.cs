namespace VirtioSharp.Backends.Nbd;

/// <summary>Numbers of the NBD protocol, by its own names (doc/proto.md of the NBD project). Everything is big-endian.</summary>
internal static class NbdProtocol
{
    public const ulong InitPasswd = 0x4e42444d41474943; // "NBDMAGIC"
    public const ulong IHaveOpt = 0x49484156454F5054;
    public const ulong OldStyle = 0x00420281861253;
    public const ulong OptionReplyMagic = 0x0003e889045565a9;
    public const uint RequestMagic = 0x25609513;
    public const uint SimpleReplyMagic = 0x67446698;
    public const uint StructuredReplyMagic = 0x668e33ef;

    public const int GreetingBytes = 18, OptionReplyBytes = 20, ExportNameBytes = 10, ExportNameZeroes = 124;
    public const int RequestBytes = 28, SimpleReplyBytes = 16, ChunkBytes = 20;

    /// <summary>Most bytes of a string.</summary>
    public const int MaxString = 4096;

    /// <summary>What every server takes in one request, if it says nothing of it.</summary>
    public const uint DefaultMaxPayload = 32 << 20;

    public const uint RepAck = 1, RepInfo = 3, RepError = 1u << 31;
    public const ushort InfoExport = 0, InfoBlockSize = 3;

    public const ushort ChunkDone = 1;
    public const ushort ChunkNone = 0, ChunkOffsetData = 1, ChunkOffsetHole = 2, ChunkError = 1 << 15;

    public const ushort FlagFua = 1, FlagNoHole = 2;
}

/// <summary>What the server says after its magic numbers.</summary>
[Flags]
internal enum NbdHandshakeFlags : ushort
{
    FixedNewstyle = 1,
    NoZeroes = 2,
}

/// <summary>What a client asks for before the export is entered.</summary>
internal enum NbdOption : uint
{
    ExportName = 1,
    Abort = 2,
    Go = 7,
    StructuredReply = 8,
}

/// <summary>What a client asks of the export.</summary>
internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    WriteZeroes = 6,
}

/// <summary>Error numbers of replies.</summary>
internal enum NbdError : uint
{
    None = 0,
    NotPermitted = 1,
    Io = 5,
    NoMemory = 12,
    Invalid = 22,
    NoSpace = 28,
    Overflow = 75,
    NotSupported = 95,
    Shutdown = 108,
}

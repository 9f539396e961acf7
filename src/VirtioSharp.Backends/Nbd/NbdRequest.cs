using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Nbd;

/// <summary>A request to the server: an operation, or a piece of one that is longer than the server takes at a time. Used again.</summary>
/// <remarks>
/// It stays what it is until it is answered, also when the connection is lost: then it is sent again from its beginning.
/// So it may be done twice, and what a server took from the lost connection it may still do later: also after a newer
/// write to the same place. Over TCP the connection is reset, so that at least what it had not got does not reach it.
/// </remarks>
internal sealed class NbdRequest(int index)
{
    private const int ZeroBytes = 64 << 10;

    /// <summary>For servers that cannot write zeroes by themselves: sent again and again.</summary>
    private static readonly byte[] Zeroes = GC.AllocateArray<byte>(ZeroBytes, pinned: true);

    private readonly byte[] _header = GC.AllocateArray<byte>(NbdProtocol.RequestBytes, pinned: true);
    private uint _uses;
    private int _buffer;
    private long _skip;

    /// <summary>What it belongs to; null while it is idle.</summary>
    public BlockOperation? Operation { get; private set; }

    /// <summary>When the operation came, in the clock's ticks.</summary>
    public long Since { get; private set; }

    public NbdCommand Command { get; private set; }

    /// <summary>Where this piece begins, in bytes of the disk.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes of this piece.</summary>
    public long Length { get; private set; }

    /// <summary>Names it on the wire, and its use before was named otherwise.</summary>
    public ulong Cookie { get; private set; }

    /// <summary>Writes that had been answered when this flush was sent: what it makes stable.</summary>
    public long Covers { get; set; }

    /// <summary>Whether all of it has gone to the server.</summary>
    public bool IsSent { get; set; }

    /// <summary>Which bytes of a read have come in chunks.</summary>
    public Coverage Received { get; } = new();

    /// <summary>What a chunk said that was not the last.</summary>
    public NbdError Error { get; set; }

    /// <summary>Whether this flush is a part of a write that must be stable.</summary>
    public bool IsSync => Command == NbdCommand.Flush && Operation!.Kind != BlockOperationKind.Flush;

    /// <summary>Bytes that follow the header to the server.</summary>
    public long Payload => Command == NbdCommand.Write ? Length : 0;

    public ReadOnlySpan<byte> Header => _header;

    public void Begin(BlockOperation operation, long now)
    {
        (Operation, Since, Offset, Length, _buffer, _skip) = (operation, now, operation.Offset, 0, 0, 0);
        Cookie = (ulong)++_uses << 32 | (uint)index;
    }

    public void End() => Operation = null;

    /// <summary>Sets what is asked next, and writes the header.</summary>
    public void Ask(NbdCommand command, ushort flags, long length)
    {
        (Command, Length) = (command, length);
        Span<byte> header = _header;
        BinaryPrimitives.WriteUInt32BigEndian(header, NbdProtocol.RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], flags);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(header[8..], Cookie);
        BinaryPrimitives.WriteInt64BigEndian(header[16..], command == NbdCommand.Flush ? 0 : Offset);
        BinaryPrimitives.WriteUInt32BigEndian(header[24..], command == NbdCommand.Flush ? 0 : (uint)length);
        Restart();
    }

    /// <summary>The connection is another: nothing of it has gone or come.</summary>
    public void Restart()
    {
        (IsSent, Error) = (false, NbdError.None);
        Received.Clear();
    }

    /// <summary>Goes behind the piece that is done.</summary>
    /// <returns>Bytes that are left of the operation.</returns>
    public long Advance(long bytes)
    {
        Offset += bytes;
        ReadOnlySpan<IoVector> buffers = Buffers;
        for (_skip += bytes; _buffer < buffers.Length && _skip >= buffers[_buffer].Length; _buffer++)
            _skip -= buffers[_buffer].Length;
        return Operation!.Offset + Operation.Length - Offset;
    }

    /// <summary>Lists the memory of a part of the piece, as far as there is room.</summary>
    /// <returns>How many bytes were listed.</returns>
    public long List(VectorList list, long from, long bytes)
    {
        long left = bytes;
        ReadOnlySpan<IoVector> buffers = Buffers;
        if (buffers.IsEmpty)
        {
            for (; left > 0 && !list.IsFull; left -= Math.Min(left, ZeroBytes))
                list.Add(new IoVector(Marshal.UnsafeAddrOfPinnedArrayElement(Zeroes, 0), (nint)Math.Min(left, ZeroBytes)));
            return bytes - left;
        }

        long skip = _skip + from;
        for (int at = _buffer; left > 0 && !list.IsFull; at++)
        {
            IoVector buffer = buffers[at];
            if (skip >= buffer.Length)
            {
                skip -= buffer.Length;
                continue;
            }

            long piece = Math.Min(buffer.Length - skip, left);
            list.Add(new IoVector(buffer.Address + (nint)skip, (nint)piece));
            (left, skip) = (left - piece, 0);
        }

        return bytes - left;
    }

    private ReadOnlySpan<IoVector> Buffers => MemoryMarshal.Cast<IoBuffer, IoVector>(Operation!.Buffers);
}

/// <summary>Pieces of memory for one system call.</summary>
internal sealed class VectorList
{
    private readonly IoVector[] _items = new IoVector[512];

    public bool IsFull => Count == _items.Length;

    public int Count { get; private set; }

    public ReadOnlySpan<IoVector> Items => _items.AsSpan(0, Count);

    public void Clear() => Count = 0;

    public void Add(IoVector piece) => _items[Count++] = piece;
}

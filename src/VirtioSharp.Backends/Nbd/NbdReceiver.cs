using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Nbd;

/// <summary>Who has asked, and is told of answers.</summary>
internal interface INbdAsker
{
    /// <summary>Whether reads are answered in chunks.</summary>
    bool IsStructured { get; }

    /// <summary>Whether any request that is under way is a read.</summary>
    bool IsReading { get; }

    /// <summary>What is under way by this name; null if nothing is.</summary>
    NbdRequest? Find(ulong cookie);

    /// <summary>It is answered.</summary>
    void Answered(NbdRequest request, NbdError error);
}

/// <summary>Replies as they come, in any order; data goes straight into the driver's memory.</summary>
/// <remarks>
/// While a read is under way not more than a reply's header is asked for together with the data before it, so that no
/// data comes into the buffer here and has to be moved. Nothing that the server says is believed: a reply must name a
/// request that was sent, and may bring what that asked for.
/// </remarks>
internal sealed class NbdReceiver(INbdAsker asker)
{
    private const int MaxErrorChunk = 4 + 2 + NbdProtocol.MaxString + 8, MaxTurns = 64;

    private readonly byte[] _stage = GC.AllocateUninitializedArray<byte>(8192, pinned: true);
    private readonly VectorList _pieces = new();
    private int _start, _end;
    private int _needed;          // bytes of the stage without which nothing goes on
    private NbdRequest? _reading; // whose data comes next
    private long _at, _left;      // where in its piece, and how much
    private bool _isLast;         // whether the request is answered with these data

    /// <summary>The connection is another.</summary>
    public void Clear()
    {
        (_start, _end, _left, _reading) = (0, 0, 0, null);
        _needed = HeaderBytes;
    }

    private int HeaderBytes => asker.IsStructured ? NbdProtocol.ChunkBytes : NbdProtocol.SimpleReplyBytes;

    /// <summary>Takes what has come, for a turn.</summary>
    /// <returns>Whether anything had.</returns>
    /// <exception cref="NbdException">The server breaks the protocol, or has closed.</exception>
    /// <exception cref="LinuxException">The connection is broken.</exception>
    public bool Receive(StreamSocket socket)
    {
        bool any = false;
        for (int turn = 0; turn < MaxTurns; turn++)
        {
            long direct = Gather();
            nint received = socket.Receive(_pieces.Items);
            if (received == StreamSocket.WouldBlock)
                return any;
            if (received == 0)
                throw new NbdException(NbdFailure.Unreachable, "the server has closed the connection");
            any = true;
            long moved = Math.Min(direct, received);
            (_at, _left, _end) = (_at + moved, _left - moved, _end + (int)(received - moved));
            while (Parse())
            {
            }
        }

        return any;
    }

    /// <summary>Where the next bytes go: data to where they belong, and what follows into the stage.</summary>
    /// <returns>Bytes before the stage.</returns>
    private long Gather()
    {
        if (_start > 0)
        {
            _stage.AsSpan(_start.._end).CopyTo(_stage); // a part of a header, if anything
            (_start, _end) = (0, _end - _start);
        }

        _pieces.Clear();
        long direct = 0;
        if (_left > 0)
        {
            direct = _reading!.List(_pieces, _at, _left);
            if (direct < _left || _pieces.IsFull)
                return direct;
            _needed = HeaderBytes;
        }

        int room = asker.IsReading ? Math.Max(_needed - _end, 0) : _stage.Length - _end;
        if (room > 0)
            _pieces.Add(new IoVector(Marshal.UnsafeAddrOfPinnedArrayElement(_stage, _end), room));
        return direct;
    }

    /// <returns>False when more bytes must come first.</returns>
    private bool Parse()
    {
        if (_left > 0 && !Move())
            return false;
        if (_reading is not null)
            EndData();
        ReadOnlySpan<byte> bytes = _stage.AsSpan(_start.._end);
        _needed = HeaderBytes;
        if (bytes.Length < NbdProtocol.SimpleReplyBytes)
            return false;
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        if (magic == NbdProtocol.SimpleReplyMagic)
        {
            TakeSimple((NbdError)BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]));
            return true;
        }

        if (magic != NbdProtocol.StructuredReplyMagic || !asker.IsStructured)
            throw Broke($"a reply begins with 0x{magic:x8}");
        return bytes.Length >= NbdProtocol.ChunkBytes && TakeChunk(bytes);
    }

    /// <summary>Data that came into the stage after all.</summary>
    private bool Move()
    {
        while (_left > 0 && _start < _end)
        {
            _pieces.Clear();
            _reading!.List(_pieces, _at, Math.Min(_left, _end - _start));
            foreach (IoVector piece in _pieces.Items)
            {
                Marshal.Copy(_stage, _start, piece.Address, (int)piece.Length);
                (_start, _at, _left) = (_start + (int)piece.Length, _at + piece.Length, _left - piece.Length);
            }
        }

        return _left == 0;
    }

    private void EndData()
    {
        NbdRequest request = _reading!;
        _reading = null;
        if (_isLast)
            End(request);
    }

    private void TakeSimple(NbdError error, ulong cookie)
    {
        NbdRequest request = Find(cookie);
        _start += NbdProtocol.SimpleReplyBytes;
        if (request.Command != NbdCommand.Read || error != NbdError.None)
        {
            asker.Answered(request, error);
            return;
        }

        if (asker.IsStructured)
            throw Broke("a read is answered without chunks");
        (_reading, _at, _left, _isLast) = (request, 0, request.Length, true);
        request.Received.TryAdd(0, request.Length);
    }

    private bool TakeChunk(ReadOnlySpan<byte> bytes)
    {
        bool isLast = (BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]) & NbdProtocol.ChunkDone) != 0;
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]);
        NbdRequest request = Find(BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]));
        uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]);
        bool isError = (type & NbdProtocol.ChunkError) != 0;
        int head = type switch
        {
            NbdProtocol.ChunkNone when length == 0 && isLast => 0,
            NbdProtocol.ChunkOffsetData when length > 8 => 8,
            NbdProtocol.ChunkOffsetHole when length == 12 => 12,
            _ when isError && length is >= 6 and <= MaxErrorChunk => (int)length,
            _ => throw Broke($"a chunk of type {type} and {length} bytes"),
        };
        _needed = NbdProtocol.ChunkBytes + head;
        if (bytes.Length < _needed)
            return false;
        _start += _needed;
        ReadOnlySpan<byte> body = bytes.Slice(NbdProtocol.ChunkBytes, head);
        if (isError)
        {
            var error = (NbdError)BinaryPrimitives.ReadUInt32BigEndian(body);
            request.Error = error == NbdError.None ? throw Broke("an error chunk without an error") : error;
        }
        else if (type != NbdProtocol.ChunkNone)
        {
            ulong at = BinaryPrimitives.ReadUInt64BigEndian(body) - (ulong)request.Offset;
            uint size = type == NbdProtocol.ChunkOffsetData ? length - 8 : BinaryPrimitives.ReadUInt32BigEndian(body[8..]);
            Locate(request, at, size);
            if (type == NbdProtocol.ChunkOffsetData)
            {
                _isLast = isLast;
                return true;
            }

            FillHole();
        }

        if (isLast)
            End(request);
        return true;
    }

    /// <summary>Data for a part of a read. No byte may come twice: then as many as were asked for are all of them.</summary>
    private void Locate(NbdRequest request, ulong at, uint size)
    {
        if (request.Command != NbdCommand.Read || size == 0 || at > (ulong)request.Length || size > (ulong)request.Length - at || !request.Received.TryAdd((long)at, (long)at + size))
            throw Broke($"{size} bytes at {at} of a {request.Command} of {request.Length}, of which {request.Received.Bytes} have come");
        (_reading, _at, _left) = (request, (long)at, size);
    }

    private unsafe void FillHole()
    {
        while (_left > 0)
        {
            _pieces.Clear();
            long listed = _reading!.List(_pieces, _at, _left);
            foreach (IoVector piece in _pieces.Items)
                new Span<byte>((void*)piece.Address, (int)piece.Length).Clear();
            (_at, _left) = (_at + listed, _left - listed);
        }

        _reading = null;
    }

    private void End(NbdRequest request)
    {
        if (request.Error == NbdError.None && request.Command == NbdCommand.Read && request.Received.Bytes != request.Length)
            throw Broke($"a read of {request.Length} bytes ends with {request.Received.Bytes}");
        asker.Answered(request, request.Error);
    }

    private NbdRequest Find(ulong cookie) => asker.Find(cookie) is { IsSent: true } request
        ? request
        : throw Broke($"a reply to 0x{cookie:x}, which nobody asked");

    private static NbdException Broke(string what) => new(NbdFailure.BrokeProtocol, what);
}

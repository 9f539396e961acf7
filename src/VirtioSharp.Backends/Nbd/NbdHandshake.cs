using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace VirtioSharp.Backends.Nbd;

/// <summary>The way into an export (fixed newstyle): bytes in, bytes out, and no socket.</summary>
/// <remarks>
/// <code>
///   server  NBDMAGIC IHAVEOPT flags
///   client                          flags  STRUCTURED_REPLY
///   server                                                   ACK, or an error: then without
///   client                                                        GO export, BLOCK_SIZE
///   server                                                                               INFO … ACK
///   a server that does not know GO:  client EXPORT_NAME, server size flags
/// </code>
/// </remarks>
internal sealed class NbdHandshake(string export)
{
    private const int MaxReplyPayload = 3 * NbdProtocol.MaxString; // a name or a reason, with room to spare
    private const int MaxInfos = 64;

    private readonly ArrayBufferWriter<byte> _outgoing = new();
    private Step _step = Step.Greeting;
    private NbdHandshakeFlags _flags;
    private NbdOption _option;
    private uint _reply;
    private int _infos;
    private bool _isStructured;
    private (ulong Size, NbdFlags Flags)? _export;
    private (uint Minimum, uint Preferred, uint Maximum) _blocks = (1, 4096, NbdProtocol.DefaultMaxPayload);

    private enum Step
    {
        Greeting,
        ReplyHeader,
        ReplyPayload,
        ExportName,
        Done,
    }

    /// <summary>How many bytes <see cref="Take"/> wants next; not one more may be read.</summary>
    public int Needed { get; private set; } = NbdProtocol.GreetingBytes;

    /// <summary>What is to be sent; the caller clears it.</summary>
    public ArrayBufferWriter<byte> Outgoing => _outgoing;

    /// <summary>The export, when we are in it.</summary>
    public NbdExport? Export { get; private set; }

    /// <summary>Goes on with what the server sent.</summary>
    /// <param name="bytes">As many as were <see cref="Needed"/>.</param>
    /// <exception cref="NbdException">The server says no, or nonsense.</exception>
    public void Take(ReadOnlySpan<byte> bytes)
    {
        switch (_step)
        {
            case Step.Greeting:
                Greet(bytes);
                break;
            case Step.ReplyHeader:
                TakeReplyHeader(bytes);
                break;
            case Step.ReplyPayload:
                TakeReply(bytes);
                break;
            default:
                _export = (BinaryPrimitives.ReadUInt64BigEndian(bytes), (NbdFlags)BinaryPrimitives.ReadUInt16BigEndian(bytes[8..]));
                Enter();
                break;
        }
    }

    private void Greet(ReadOnlySpan<byte> bytes)
    {
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(bytes), second = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        if (magic != NbdProtocol.InitPasswd)
            throw Broke($"the server begins with 0x{magic:x16}, which is not NBD");
        if (second == NbdProtocol.OldStyle)
            throw new NbdException(NbdFailure.Refused, "the server speaks the oldstyle protocol only, which cannot name an export");
        if (second != NbdProtocol.IHaveOpt)
            throw Broke($"0x{second:x16} in place of IHAVEOPT");
        _flags = (NbdHandshakeFlags)BinaryPrimitives.ReadUInt16BigEndian(bytes[16..]);
        if ((_flags & NbdHandshakeFlags.FixedNewstyle) == 0)
            throw new NbdException(NbdFailure.Refused, "the server does not speak the fixed newstyle protocol");
        BinaryPrimitives.WriteUInt32BigEndian(_outgoing.GetSpan(4), (uint)(_flags & (NbdHandshakeFlags.FixedNewstyle | NbdHandshakeFlags.NoZeroes)));
        _outgoing.Advance(4);
        Ask(NbdOption.StructuredReply, []);
    }

    private void TakeReplyHeader(ReadOnlySpan<byte> bytes)
    {
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        uint option = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]), length = BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]);
        _reply = BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]);
        if (magic != NbdProtocol.OptionReplyMagic)
            throw Broke($"an option reply begins with 0x{magic:x16}");
        if (option != (uint)_option)
            throw Broke($"a reply to option {option}, while {_option} was asked");
        if (length > MaxReplyPayload)
            throw Broke($"an option reply of {length} bytes");
        if (length > 0)
            Expect(Step.ReplyPayload, (int)length);
        else
            TakeReply([]);
    }

    private void TakeReply(ReadOnlySpan<byte> payload)
    {
        Expect(Step.ReplyHeader, NbdProtocol.OptionReplyBytes);
        bool isRefused = (_reply & NbdProtocol.RepError) != 0;
        if (!isRefused && _reply != NbdProtocol.RepAck && !(_option == NbdOption.Go && _reply == NbdProtocol.RepInfo))
            throw Broke($"{_option} is answered with {_reply}");
        if (_option == NbdOption.StructuredReply)
        {
            _isStructured = !isRefused;
            AskToGo();
        }
        else if (_reply == NbdProtocol.RepAck)
        {
            Enter();
        }
        else if (_reply == NbdProtocol.RepInfo)
        {
            TakeInfo(payload);
        }
        else if ((NbdRefusal)(_reply & ~NbdProtocol.RepError) == NbdRefusal.Unsupported)
        {
            Ask(NbdOption.ExportName, Encoding.UTF8.GetBytes(export));
            Expect(Step.ExportName, NbdProtocol.ExportNameBytes + ((_flags & NbdHandshakeFlags.NoZeroes) == 0 ? NbdProtocol.ExportNameZeroes : 0));
        }
        else
        {
            Ask(NbdOption.Abort, []); // who wants no more has to say so; what is answered to that, nobody reads
            throw Refusal(payload);
        }
    }

    private void AskToGo()
    {
        byte[] name = Encoding.UTF8.GetBytes(export);
        byte[] payload = new byte[4 + name.Length + 4];
        BinaryPrimitives.WriteInt32BigEndian(payload, name.Length);
        name.CopyTo(payload, 4);
        BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(4 + name.Length), 1); // one question
        BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(6 + name.Length), NbdProtocol.InfoBlockSize);
        Ask(NbdOption.Go, payload);
    }

    private void TakeInfo(ReadOnlySpan<byte> payload)
    {
        if (++_infos > MaxInfos)
            throw Broke($"more than {MaxInfos} informations about one export");
        ushort type = payload.Length < 2 ? throw Broke($"an information of {payload.Length} bytes") : BinaryPrimitives.ReadUInt16BigEndian(payload);
        if (type == NbdProtocol.InfoExport)
        {
            if (payload.Length != 12)
                throw Broke($"NBD_INFO_EXPORT of {payload.Length} bytes");
            _export = (BinaryPrimitives.ReadUInt64BigEndian(payload[2..]), (NbdFlags)BinaryPrimitives.ReadUInt16BigEndian(payload[10..]));
        }
        else if (type == NbdProtocol.InfoBlockSize)
        {
            if (payload.Length != 14)
                throw Broke($"NBD_INFO_BLOCK_SIZE of {payload.Length} bytes");
            _blocks = (BinaryPrimitives.ReadUInt32BigEndian(payload[2..]), BinaryPrimitives.ReadUInt32BigEndian(payload[6..]), BinaryPrimitives.ReadUInt32BigEndian(payload[10..]));
        }
    }

    private void Enter()
    {
        (ulong size, NbdFlags flags) = _export ?? throw Broke("GO was granted without NBD_INFO_EXPORT");
        Export = new NbdExport(size, flags, _blocks.Minimum, _blocks.Preferred, _blocks.Maximum, _isStructured).Checked();
        Expect(Step.Done, 0);
    }

    private void Ask(NbdOption option, ReadOnlySpan<byte> payload)
    {
        _option = option;
        Span<byte> header = _outgoing.GetSpan(16 + payload.Length);
        BinaryPrimitives.WriteUInt64BigEndian(header, NbdProtocol.IHaveOpt);
        BinaryPrimitives.WriteUInt32BigEndian(header[8..], (uint)option);
        BinaryPrimitives.WriteInt32BigEndian(header[12..], payload.Length);
        payload.CopyTo(header[16..]);
        _outgoing.Advance(16 + payload.Length);
        Expect(Step.ReplyHeader, NbdProtocol.OptionReplyBytes);
    }

    private void Expect(Step step, int bytes) => (_step, Needed) = (step, bytes);

    private NbdException Refusal(ReadOnlySpan<byte> reason)
    {
        uint number = _reply & ~NbdProtocol.RepError;
        string why = (NbdRefusal)number switch
        {
            NbdRefusal.Policy => "the server does not let us have it",
            NbdRefusal.TlsRequired => "the server wants TLS, which is not implemented",
            NbdRefusal.Unknown => "the server has no such export",
            NbdRefusal.Shutdown => "the server is shutting down",
            NbdRefusal.BlockSizeRequired => "the server wants its block sizes to be kept",
            _ => $"the server refuses it with error {number}",
        };
        string said = Printable(reason);
        return new NbdException(NbdFailure.Refused, $"export '{export}': {why}{(said.Length > 0 ? $" ({said})" : "")}");
    }

    /// <summary>What a server says goes onto a terminal: one line of plain characters, and not too many.</summary>
    internal static string Printable(ReadOnlySpan<byte> text) =>
        string.Concat(Encoding.UTF8.GetString(text[..Math.Min(text.Length, 200)]).Select(letter => char.IsControl(letter) ? ' ' : letter)).Trim();

    private static NbdException Broke(string what) => new(NbdFailure.BrokeProtocol, what);

    private enum NbdRefusal : uint
    {
        Unsupported = 1,
        Policy = 2,
        TlsRequired = 5,
        Unknown = 6,
        Shutdown = 7,
        BlockSizeRequired = 8,
    }
}

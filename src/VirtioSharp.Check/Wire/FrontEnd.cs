using System.Diagnostics;
using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Wire;

/// <summary>A front-end's end of the socket. It sends what it is told to, right or wrong, and no wait is without a limit.</summary>
internal sealed class FrontEnd(UnixSocket socket, TimeSpan patience) : IDisposable
{
    public const uint Version = 1, NeedReply = 8;

    /// <summary>The flags of every reply: version 1 and the reply bit, nothing else.</summary>
    public const uint ReplyFlags = 5;

    private const int LargestReply = 1 << 16;

    private readonly ReceivedFds _fds = new(16);

    /// <summary>Whether REPLY_ACK has been negotiated.</summary>
    public bool HasReplyAck { get; set; }

    /// <summary>The most bytes that are sent at once.</summary>
    public int PieceSize { get; set; } = int.MaxValue;

    public void Dispose()
    {
        socket.Dispose();
        _fds.Dispose();
    }

    // ── sending ──

    /// <returns>False when the daemon has closed the connection.</returns>
    public bool TrySendRaw(ReadOnlySpan<byte> bytes, params FileDescriptor[] fds)
    {
        try
        {
            while (bytes.Length > 0)
            {
                ReadOnlySpan<byte> piece = bytes[..Math.Min(bytes.Length, PieceSize)];
                socket.SendAllWithFds(piece, fds, patience);
                bytes = bytes[piece.Length..];
                fds = [];
            }

            return true;
        }
        catch (LinuxException closed) when (closed.Errno is Errno.EPIPE or Errno.ECONNRESET)
        {
            return false;
        }
        catch (LinuxException full) when (full.Errno == Errno.EAGAIN)
        {
            throw new FailedException($"the daemon reads nothing for {patience.TotalSeconds} s");
        }
    }

    /// <summary>As many bytes as the socket takes now.</summary>
    public int SendWithoutWaiting(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return Math.Max(socket.SendWithFds(bytes, []), 0);
        }
        catch (LinuxException closed) when (closed.Errno is Errno.EPIPE or Errno.ECONNRESET)
        {
            return 0;
        }
    }

    public bool TrySend(uint request, uint flags, ReadOnlySpan<byte> payload, params FileDescriptor[] fds) =>
        TrySendRaw([.. Payload.Header(request, flags, (uint)payload.Length), .. payload], fds);

    public void Send(uint request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds)
    {
        if (!TrySend(request, Version, payload, fds))
            throw new FailedException($"the daemon closed the connection before {Request.Name(request)}");
    }

    // ── receiving ──

    /// <summary>The next message.</summary>
    /// <param name="within">How long to wait for it; the usual patience when null.</param>
    public Answer Receive(TimeSpan? within = null)
    {
        TimeSpan limit = within ?? patience;
        _fds.Clear();
        byte[] header = new byte[12];
        int have = Read(header, limit, out bool closed);
        if (have == 0)
            return new Answer(closed ? AnswerKind.Closed : AnswerKind.Silence);
        if (have < header.Length)
            throw new FailedException($"a reply ended after {have} of its 12 header bytes");

        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(header);
        (uint request, uint flags, uint size) = (words[0], words[1], words[2]);
        if (size > LargestReply)
            throw new FailedException($"a reply to {Request.Name(request)} claims to have {size} bytes");
        byte[] payload = new byte[size];
        have = Read(payload, patience, out _);
        if (have < payload.Length)
            throw new FailedException($"the reply to {Request.Name(request)} ended after {have} of its {size} bytes");
        return new Answer(AnswerKind.Message, request, flags, payload, _fds.Count > 0 ? _fds.Take(0) : null);
    }

    /// <summary>The reply to a request.</summary>
    /// <param name="request">Whose reply is due.</param>
    /// <param name="size">The bytes it must have; −1 if there is no such rule.</param>
    public Answer Reply(uint request, int size = -1)
    {
        Answer answer = Receive();
        string name = Request.Name(request);
        if (answer.Kind == AnswerKind.Closed)
            throw new FailedException($"the daemon closed the connection in place of answering {name}");
        if (answer.Kind == AnswerKind.Silence)
            throw new FailedException($"no answer to {name} within {patience.TotalSeconds} s");
        if (answer.Request != request)
            throw new FailedException($"{name} was answered as {Request.Name(answer.Request)}");
        if (size >= 0 && answer.Payload.Length != size)
            throw new FailedException($"the reply to {name} has {answer.Payload.Length} bytes, {size} are due");
        return answer;
    }

    // ── exchanges ──

    public Answer Ask(uint request, int size = -1, ReadOnlySpan<byte> payload = default)
    {
        Send(request, payload);
        return Reply(request, size);
    }

    public ulong AskU64(uint request) => BitConverter.ToUInt64(Ask(request, 8).Payload);

    /// <summary>When it returns, everything sent before has been read, and nothing was answered meanwhile.</summary>
    public void Barrier() => Ask(Request.GetFeatures, 8);

    /// <summary>Sends what must be granted. When it returns, it is in force: kicks do not wait for messages.</summary>
    public void Do(uint request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds)
    {
        if (!HasReplyAck)
        {
            Send(request, payload, fds);
            Barrier();
            return;
        }

        ulong answer = Acknowledged(request, payload, fds);
        if (answer != 0)
            throw new FailedException($"{Request.Name(request)} is refused with {answer}");
    }

    /// <summary>Sends with NEED_REPLY, and returns what is said.</summary>
    public ulong Acknowledged(uint request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds)
    {
        if (!TrySend(request, Version | NeedReply, payload, fds))
            throw new FailedException($"the daemon closed the connection before {Request.Name(request)}");
        return BitConverter.ToUInt64(Reply(request, 8).Payload);
    }

    /// <summary>Sends what need not be granted. That nothing comes back is a failure all the same.</summary>
    public Outcome Attempt(uint request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds)
    {
        uint asked = HasReplyAck ? request : Request.GetFeatures;
        bool sent = TrySend(request, HasReplyAck ? Version | NeedReply : Version, payload, fds)
            && (HasReplyAck || TrySend(Request.GetFeatures, Version, []));
        Answer answer = sent ? Receive() : new Answer(AnswerKind.Closed);
        if (answer.Kind == AnswerKind.Closed)
            return Outcome.Closed;
        if (answer.Kind == AnswerKind.Silence)
            throw new FailedException($"after {Request.Name(request)} neither an answer nor the end of the connection comes within {patience.TotalSeconds} s");
        if (answer.Request != asked || answer.Payload.Length != 8)
            throw new FailedException($"{Request.Name(request)} was followed by a message of {answer.Payload.Length} bytes for {Request.Name(answer.Request)}");
        if (!HasReplyAck)
            return Outcome.WentOn;
        if (BitConverter.ToUInt64(answer.Payload) != 0)
            return Outcome.Refused;

        // A daemon may say yes and hang up all the same.
        answer = TrySend(Request.GetFeatures, Version, []) ? Receive() : new Answer(AnswerKind.Closed);
        return answer.Kind switch
        {
            AnswerKind.Message => Outcome.Accepted,
            AnswerKind.Closed => Outcome.Dropped,
            _ => throw new FailedException($"{Request.Name(request)} was acknowledged, the next message is not answered within {patience.TotalSeconds} s"),
        };
    }

    /// <summary>Whether the daemon closes, or has closed, the connection; what it says before is dropped.</summary>
    public bool CloseComes(TimeSpan within)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            TimeSpan left = within - Stopwatch.GetElapsedTime(start);
            Answer answer = Receive(left > TimeSpan.Zero ? left : TimeSpan.Zero);
            if (answer.Kind != AnswerKind.Message)
                return answer.Kind == AnswerKind.Closed;
        }
    }

    private int Read(Span<byte> bytes, TimeSpan limit, out bool closed)
    {
        int have = 0;
        closed = false;
        long start = Stopwatch.GetTimestamp();
        while (have < bytes.Length)
        {
            TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
            if (!Readiness.WaitReadable(socket.Descriptor, left > TimeSpan.Zero ? left : TimeSpan.Zero))
                return have;
            int received;
            try
            {
                received = socket.ReceiveWithFds(bytes[have..], _fds);
            }
            catch (LinuxException reset) when (reset.Errno == Errno.ECONNRESET)
            {
                received = 0;
            }

            if (received == 0)
            {
                closed = true;
                return have;
            }

            have += Math.Max(received, 0);
        }

        return have;
    }
}

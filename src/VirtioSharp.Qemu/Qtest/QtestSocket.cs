using System.Diagnostics;
using System.Text;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>A connection as lines of text, each way. What breaks it breaks it for good: every later call says the same.</summary>
/// <param name="socket">Non-blocking; owned from now on.</param>
/// <param name="lastWords">What the other end said elsewhere; asked when the connection breaks.</param>
internal sealed class QtestSocket(UnixSocket socket, Func<string>? lastWords) : IDisposable
{
    public const int MaxLine = 16 * 1024; // far beyond what any command of ours is answered with
    private const int ReadsBeforeSleep = 64; // an answer takes about 40 µs; a wake-up costs 10 of them more

    private readonly ReceivedFds _none = new(1); // closes what nobody should have sent
    private readonly byte[] _buffer = new byte[MaxLine];
    private int _start, _end;
    private string? _broken;

    /// <summary>To sleep on. Not to be read from.</summary>
    public FileDescriptor Descriptor => socket.Descriptor;

    /// <summary>Whether it can bring anything any more.</summary>
    public bool IsBroken => _broken is not null;

    /// <summary>Sends whole lines.</summary>
    public void Send(ReadOnlySpan<byte> lines, TimeSpan timeout)
    {
        ThrowIfBroken();
        try
        {
            socket.SendAllWithFds(lines, [], timeout);
        }
        catch (LinuxException error)
        {
            throw Break(error.Errno == Errno.EAGAIN
                ? $"QEMU has not read its qtest socket for {timeout.TotalSeconds} s"
                : $"QEMU closed its qtest connection at '{Text(lines)}'", error);
        }
    }

    /// <summary>The next line without its end; valid until the next call.</summary>
    /// <returns>False when none came in time.</returns>
    public bool TryReceive(TimeSpan timeout, out ReadOnlySpan<byte> line)
    {
        if (TryTake(out line))
            return true;
        ThrowIfBroken();
        long start = Stopwatch.GetTimestamp();
        for (int looks = 0; ; looks++)
        {
            if (ReadMore())
            {
                if (TryTake(out line))
                    return true;
                continue;
            }

            if (timeout == TimeSpan.Zero)
                return false;
            if (looks < ReadsBeforeSleep)
                continue;
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || !Readiness.WaitReadable(socket.Descriptor, left))
                return false;
        }
    }

    /// <summary>Ends the connection's use for a reason.</summary>
    /// <returns>What to throw.</returns>
    public TransportException Break(string reason, Exception? cause = null)
    {
        _broken = lastWords is null ? reason : $"{reason}. QEMU says: {lastWords()}";
        return new TransportException(_broken, cause);
    }

    /// <summary>Bytes of the protocol for a message, without the line's end.</summary>
    public static string Text(ReadOnlySpan<byte> line)
    {
        const int enough = 100;
        string text = Encoding.ASCII.GetString(line[..Math.Min(line.Length, enough)]).TrimEnd('\n');
        return line.Length > enough ? text + "…" : text;
    }

    public void Dispose()
    {
        _broken ??= "the qtest connection was closed on this side";
        socket.Dispose();
        _none.Dispose();
    }

    private bool TryTake(out ReadOnlySpan<byte> line)
    {
        ReadOnlySpan<byte> unread = _buffer.AsSpan(_start, _end - _start);
        int length = unread.IndexOf((byte)'\n');
        line = length < 0 ? default : unread[..length].TrimEnd((byte)'\r');
        _start += length + 1; // -1 + 1: stays
        return length >= 0;
    }

    private bool ReadMore()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }

        if (_end == _buffer.Length)
            throw Break($"QEMU sent a line of more than {MaxLine} bytes: '{Text(_buffer)}'");
        int received;
        try
        {
            received = socket.ReceiveWithFds(_buffer.AsSpan(_end), _none);
            if (_none.Count > 0)
                _none.Clear();
        }
        catch (LinuxException error)
        {
            throw Break("QEMU's qtest connection broke", error);
        }

        if (received == 0)
            throw Break(_end == 0 ? "QEMU closed its qtest connection" : $"QEMU closed its qtest connection after '{Text(_buffer.AsSpan(0, _end))}'");
        if (received == UnixSocket.WouldBlock)
            return false;
        _end += received;
        return true;
    }

    private void ThrowIfBroken()
    {
        if (_broken is not null)
            throw new TransportException(_broken);
    }
}

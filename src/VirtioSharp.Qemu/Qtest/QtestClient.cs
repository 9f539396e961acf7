using System.Text;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>
/// Accesses to the devices of a QEMU that runs no guest: its test protocol, one line of text per access. Reads wait for
/// their answer. Writes are posted, as on a bus: they arrive in order, and the next read, or <see cref="Flush"/>, waits for them.
/// </summary>
/// <remarks>No access allocates. Calls from several threads take turns.</remarks>
public sealed class QtestClient : IDisposable
{
    private const int MaxPosted = 64; // their answers must fit into the socket, or both ends wait for each other

    private readonly Lock _turn = new();
    private readonly QtestSocket _socket;
    private readonly InterruptLines _lines = new();
    private readonly TimeSpan _patience;
    private int _posted;

    /// <summary>Takes a connection over.</summary>
    /// <param name="socket">The connection; owned from now on.</param>
    /// <param name="patience">The longest to wait for an answer.</param>
    /// <param name="lastWords">What QEMU says on its standard error; asked when the connection breaks.</param>
    public QtestClient(UnixSocket socket, TimeSpan patience, Func<string>? lastWords = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        socket.Descriptor.SetNonBlocking();
        _socket = new QtestSocket(socket, lastWords);
        _patience = patience;
    }

    /// <summary>How often an intercepted interrupt line went up or down.</summary>
    public long InterruptChanges
    {
        get
        {
            lock (_turn)
                return _lines.Changes;
        }
    }

    /// <summary>Reads physical memory or a register in it.</summary>
    /// <param name="address">Where.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    public ulong Read(ulong address, int width) => Ask("read"u8, width, address);

    /// <summary>Writes physical memory or a register in it.</summary>
    /// <inheritdoc cref="Read"/>
    public void Write(ulong address, int width, ulong value) => Post("write"u8, width, address, value);

    /// <summary>Reads a port of x86's I/O space.</summary>
    /// <param name="port">Which.</param>
    /// <param name="width">1, 2 or 4 bytes.</param>
    public uint In(ushort port, int width) => (uint)Ask("in"u8, width, port);

    /// <summary>Writes a port of x86's I/O space.</summary>
    /// <inheritdoc cref="In"/>
    public void Out(ushort port, int width, uint value) => Post("out"u8, width, port, value);

    /// <summary>Hears from now on of the interrupts that reach an interrupt controller, which no longer gets them.</summary>
    /// <param name="controller">Its path in QEMU's object tree. There can be only one.</param>
    /// <exception cref="QtestException">There is no such object, or another one was chosen before.</exception>
    public void InterceptInterrupts(string controller) => Execute("irq_intercept_in " + controller);

    /// <summary>Sends any command of the protocol. QEMU ends at arguments that it cannot read.</summary>
    /// <returns>What follows OK.</returns>
    /// <exception cref="QtestException">QEMU refused it.</exception>
    public string Execute(string command)
    {
        byte[] line = Encoding.ASCII.GetBytes(command + "\n");
        lock (_turn)
        {
            _socket.Send(line, _patience);
            return Encoding.ASCII.GetString(Answer(line));
        }
    }

    /// <summary>Waits until every write has been carried out.</summary>
    public void Flush()
    {
        lock (_turn)
        {
            while (_posted > 0)
                TakePosted();
        }
    }

    /// <summary>Whether an intercepted interrupt line is up, after every write that was made.</summary>
    /// <exception cref="TransportException">The connection is broken.</exception>
    public bool IsRaised(int interrupt)
    {
        lock (_turn)
        {
            while (_posted > 0)
                TakePosted();
            Hear();
            return _lines.IsRaised(interrupt);
        }
    }

    /// <summary>Whether it has been told to be up, for a waiting loop: what breaks the connection is left to the next access to say.</summary>
    internal bool HasRaised(int interrupt)
    {
        lock (_turn)
            return TryHear() && _lines.IsRaised(interrupt);
    }

    /// <summary>Sleeps until QEMU says something, which may be an interrupt, or the time is over.</summary>
    /// <returns>False when nothing can come any more.</returns>
    internal bool Sleep(TimeSpan time)
    {
        if (_socket.IsBroken)
            return false;
        try
        {
            // Outside the turn: who sleeps keeps nobody from asking.
            _ = Readiness.WaitReadable(_socket.Descriptor, time);
        }
        catch (ObjectDisposedException)
        {
            return false; // closed by another thread meanwhile
        }

        lock (_turn)
            return TryHear();
    }

    /// <summary>Closes the connection; QEMU goes on.</summary>
    public void Dispose()
    {
        lock (_turn)
            _socket.Dispose();
    }

    private ulong Ask(ReadOnlySpan<byte> verb, int width, ulong address)
    {
        QtestCommand command = new(stackalloc byte[QtestCommand.Bytes]);
        command.Verb(verb);
        command.Width(width);
        command.Number(address);
        ReadOnlySpan<byte> line = command.Line;
        lock (_turn)
        {
            _socket.Send(line, _patience);
            ReadOnlySpan<byte> value = Answer(line);
            return QtestReply.TryNumber(value, out ulong number)
                ? number
                : throw _socket.Break($"QEMU answered '{QtestSocket.Text(line)}' with '{QtestSocket.Text(value)}', which is not a number");
        }
    }

    private void Post(ReadOnlySpan<byte> verb, int width, ulong address, ulong value)
    {
        QtestCommand command = new(stackalloc byte[QtestCommand.Bytes]);
        command.Verb(verb);
        command.Width(width);
        command.Number(address);
        command.Number(width == 8 ? value : value & ((1UL << (8 * width)) - 1));
        lock (_turn)
        {
            while (_posted >= MaxPosted)
                TakePosted();
            _socket.Send(command.Line, _patience);
            _posted++;
        }
    }

    private ReadOnlySpan<byte> Answer(ReadOnlySpan<byte> asked)
    {
        while (_posted > 0)
            TakePosted();
        return Value(NextAnswer(asked), asked);
    }

    private void TakePosted()
    {
        ReadOnlySpan<byte> answer = NextAnswer("a write"u8);
        _posted--;
        _ = Value(answer, "a write"u8);
    }

    private ReadOnlySpan<byte> NextAnswer(ReadOnlySpan<byte> asked)
    {
        while (true)
        {
            if (!_socket.TryReceive(_patience, out ReadOnlySpan<byte> line))
                throw _socket.Break($"QEMU has not answered '{QtestSocket.Text(asked)}' for {_patience.TotalSeconds} s");
            if (!_lines.TryFollow(line))
                return line;
        }
    }

    private bool TryHear()
    {
        if (_socket.IsBroken)
            return false;
        try
        {
            Hear();
            return true;
        }
        catch (TransportException)
        {
            return false;
        }
    }

    // What has come already: interrupts, and answers to writes.
    private void Hear()
    {
        while (_socket.TryReceive(TimeSpan.Zero, out ReadOnlySpan<byte> line))
        {
            if (_lines.TryFollow(line))
                continue;
            if (_posted == 0)
                throw _socket.Break($"QEMU said '{QtestSocket.Text(line)}' without having been asked");
            _posted--;
            _ = Value(line, "a write"u8);
        }
    }

    private ReadOnlySpan<byte> Value(ReadOnlySpan<byte> answer, ReadOnlySpan<byte> asked)
    {
        if (QtestReply.TryOk(answer, out ReadOnlySpan<byte> value))
            return value;
        throw QtestReply.IsRefusal(answer)
            ? new QtestException($"QEMU refused '{QtestSocket.Text(asked)}': {QtestSocket.Text(answer)}")
            : _socket.Break($"QEMU answered '{QtestSocket.Text(asked)}' with '{QtestSocket.Text(answer)}', which is not qtest");
    }
}

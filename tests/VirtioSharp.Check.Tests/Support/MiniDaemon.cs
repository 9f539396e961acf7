using System.Runtime.CompilerServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Tests.Support;

/// <summary>
/// A small vhost-user entropy daemon on a thread, written without any of the product's back-end, to be broken on purpose.
/// Unbroken it passes the check: it hangs up on whatever it does not like.
/// </summary>
internal sealed class MiniDaemon : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly Fault _fault;
    private readonly UnixListener _listener;
    private readonly Thread _thread;
    private volatile bool _stopped;

    public MiniDaemon(Fault fault = Fault.None)
    {
        _fault = fault;
        _listener = UnixListener.Listen(SocketPath, nonBlocking: true);
        _thread = new Thread(Serve) { IsBackground = true, Name = "mini daemon" };
        _thread.Start();
    }

    public string SocketPath => _directory["s"];

    /// <summary>Set by a session that has fallen silent for good.</summary>
    public bool IsWedged { get; set; }

    public bool IsStopped => _stopped;

    /// <summary>What a daemon that leaks does not close.</summary>
    public List<FileDescriptor> Kept { get; } = [];

    public void Dispose()
    {
        _stopped = true;
        _thread.Join();
        _listener.Dispose();
        _directory.Dispose();
        Kept.ForEach(fd => fd.Dispose());
    }

    private void Serve()
    {
        while (!_stopped)
        {
            if (!Readiness.WaitReadable(_listener.Descriptor, TimeSpan.FromMilliseconds(20)))
                continue;
            if (_listener.Accept() is not { } socket)
                continue;
            using (var session = new MiniSession(this, socket, _fault))
            {
                try
                {
                    session.Run();
                }
                catch (HangUpException)
                {
                }
                catch (LinuxException gone) when (gone.Errno is Errno.EPIPE or Errno.ECONNRESET)
                {
                }
                catch (DeathException)
                {
                    _listener.Dispose();
                    return;
                }
            }

            if (_fault == Fault.ListensOnce)
            {
                _listener.Dispose();
                return;
            }
        }
    }
}

/// <summary>The daemon wants no more of this front-end.</summary>
internal sealed class HangUpException : Exception;

/// <summary>The daemon is no more.</summary>
internal sealed class DeathException : Exception;

/// <summary>A split ring served by hand: every writable buffer is filled.</summary>
internal sealed unsafe class MiniRing(MiniDaemon daemon, Fault fault)
{
    private ushort _next;

    public uint Size { get; set; }

    public ulong Descriptors { get; set; }

    public ulong Available { get; set; }

    public ulong Used { get; set; }

    public bool IsEnabled { get; set; }

    public bool IsStopped { get; set; } = true;

    public EventFd? Kick { get; set; }

    public EventFd? Call { get; set; }

    public ushort Base
    {
        get => _next;
        set => _next = fault == Fault.IgnoresBase ? (ushort)0 : value;
    }

    public void Service(MiniMemory memory)
    {
        if (Kick is null || !IsEnabled || Size == 0 || Used == 0 || (IsStopped && fault != Fault.ServesStoppedRings))
            return;
        byte* available = memory.User(Available, 6 + 2 * Size), used = memory.User(Used, 6 + 8 * Size), table = memory.User(Descriptors, 16 * Size);
        ushort end = Volatile.Read(ref *(ushort*)(available + 2));
        if ((ushort)(end - _next) > Size)
            throw Bad();
        bool any = _next != end;
        for (; _next != end; _next++)
        {
            ushort head = *(ushort*)(available + 4 + 2 * (_next % Size));
            uint length = Fill(memory, table, head);
            ushort index = *(ushort*)(used + 2);
            Unsafe.Write(used + 4 + 8 * (index % Size), (uint)head);
            Unsafe.Write(used + 8 + 8 * (index % Size), length);
            Volatile.Write(ref *(ushort*)(used + 2), (ushort)(index + 1));
        }

        if (any && fault != Fault.NoInterrupts)
            Call?.Signal();
    }

    private uint Fill(MiniMemory memory, byte* table, ushort at)
    {
        uint written = 0;
        bool writable = false;
        for (uint links = 0; ; links++)
        {
            if (at >= Size || links >= Size)
                throw Bad();
            byte* descriptor = table + 16 * at;
            (ulong address, uint length, ushort flags) = (Unsafe.Read<ulong>(descriptor), Unsafe.Read<uint>(descriptor + 8), Unsafe.Read<ushort>(descriptor + 12));
            at = Unsafe.Read<ushort>(descriptor + 14);
            if ((flags & ~3) != 0 || (writable && (flags & 2) == 0) || written + (ulong)length > uint.MaxValue)
                throw Bad();
            if ((flags & 2) != 0)
            {
                writable = true;
                Write(memory, address, length);
                written += length;
            }

            if ((flags & 1) == 0)
                return written;
        }
    }

    private void Write(MiniMemory memory, ulong address, uint length)
    {
        if (fault == Fault.WritesNothing)
            return;
        if (fault == Fault.WritesTooMuch)
            length += 16;
        for (uint done = 0; done < length;)
        {
            byte* at = memory.Guest(address + done, out ulong room);
            if (at is null)
                throw Bad();
            uint piece = (uint)Math.Min(length - done, room);
            Random.Shared.NextBytes(new Span<byte>(at, checked((int)piece)));
            done += piece;
        }
    }

    private HangUpException Bad()
    {
        daemon.IsWedged |= fault == Fault.WedgesAfterBadChain;
        return new HangUpException();
    }
}

/// <summary>The regions that a front-end has shared.</summary>
internal sealed unsafe class MiniMemory : IDisposable
{
    private readonly List<(ulong Guest, ulong User, MappedRegion Region)> _regions = [];

    public void Add(ulong guest, ulong size, ulong user, ulong offset, FileDescriptor file)
    {
        if (size == 0 || guest + size < guest || user + size < user || _regions.Exists(other => guest < other.Guest + other.Region.Length && other.Guest < guest + size))
            throw new HangUpException();
        try
        {
            if (!MemFd.TrySealShrink(file))
                throw new HangUpException();
            _regions.Add((guest, user, MappedRegion.Map(file, offset, size)));
        }
        catch (LinuxException)
        {
            throw new HangUpException();
        }
    }

    public byte* User(ulong user, ulong length)
    {
        foreach (var (_, start, region) in _regions)
            if (user >= start && user - start < region.Length && region.Length - (user - start) >= length)
                return (byte*)region.Address + (user - start);
        throw new HangUpException();
    }

    public byte* Guest(ulong guest, out ulong room)
    {
        foreach (var (start, _, region) in _regions)
        {
            if (guest < start || guest - start >= region.Length)
                continue;
            room = region.Length - (guest - start);
            return (byte*)region.Address + (guest - start);
        }

        room = 0;
        return null;
    }

    public void Dispose()
    {
        _regions.ForEach(region => region.Region.Dispose());
        _regions.Clear();
    }
}

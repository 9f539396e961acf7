using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Tests.Support;

/// <summary>One front-end of a <see cref="MiniDaemon"/>: the messages that every daemon knows.</summary>
internal sealed class MiniSession(MiniDaemon daemon, UnixSocket socket, Fault fault) : IDisposable
{
    private const ulong Features = 1UL << 30 | 1UL << 32;
    private const ulong Mq = 1, ReplyAck = 8;
    private const uint NeedReply = 8;

    private readonly ReceivedFds _fds = new();
    private readonly MiniMemory _memory = new();
    private readonly MiniRing _ring = new(daemon, fault);
    private ulong _protocol;

    public void Dispose()
    {
        _ring.Kick?.Dispose();
        _ring.Call?.Dispose();
        _memory.Dispose();
        _fds.Dispose();
        socket.Dispose();
    }

    public void Run()
    {
        socket.Descriptor.SetNonBlocking();
        while (!daemon.IsStopped)
        {
            if (Readiness.WaitReadable(socket.Descriptor, TimeSpan.FromMilliseconds(1)))
            {
                if (!Receive())
                    return;
            }
            else
            {
                _ring.Kick?.TryDrain(out _);
                if (!daemon.IsWedged)
                    _ring.Service(_memory);
            }
        }
    }

    private bool Receive()
    {
        byte[] header = new byte[12];
        if (!Read(header))
            return false;
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(header);
        (uint request, uint flags, uint size) = (words[0], words[1], words[2]);
        if (size > 1024 || (flags & 7) != 1)
            throw new HangUpException();
        byte[] payload = new byte[size];
        if (!Read(payload) && size > 0)
            throw new HangUpException();
        if (fault == Fault.OneMessagePerRead)
            Read(new byte[4096], once: true);
        if (fault == Fault.NeverAnswers || daemon.IsWedged)
        {
            _fds.Clear();
            return true;
        }

        bool wantsReply = (flags & NeedReply) != 0 && (_protocol & ReplyAck) != 0 && fault != Fault.NoAcknowledgements;
        try
        {
            if (!Obey(request, payload) && wantsReply)
                Reply(request, BitConverter.GetBytes(0UL));
        }
        catch (HangUpException) when (fault == Fault.AcknowledgesAll && wantsReply)
        {
            Reply(request, BitConverter.GetBytes(0UL));
        }
        finally
        {
            for (int i = 0; fault == Fault.KeepsDescriptors && i < _fds.Count; i++)
                Keep(i);
            _fds.Clear();
        }

        return true;
    }

    /// <returns>Whether it has been answered.</returns>
    private bool Obey(uint request, byte[] payload)
    {
        uint Word(int at) => payload.Length >= at * 4 + 4 ? BitConverter.ToUInt32(payload, at * 4) : throw new HangUpException();
        ulong Long(int at) => payload.Length >= at * 8 + 8 ? BitConverter.ToUInt64(payload, at * 8) : throw new HangUpException();
        void Expect(int size, bool good = true, int fds = 0)
        {
            if (payload.Length != size || !good || (_fds.Count != fds && request is not 5))
                throw new HangUpException();
        }

        switch (request)
        {
            case 1:
                Expect(0, fds: _fds.Count);
                Reply(1, BitConverter.GetBytes(Features));
                return true;
            case 2:
                Expect(8, (Long(0) & ~Features) == 0);
                _ring.IsEnabled |= (Long(0) & 1UL << 30) == 0;
                return false;
            case 3 or 4:
                Expect(0);
                return false;
            case 5:
                Expect(8 + 32 * _fds.Count, _fds.Count is > 0 and <= 8 && Word(0) == _fds.Count);
                SetMemory(payload);
                return false;
            case 8:
                Expect(8, Word(0) == 0 && Word(1) is > 0 and <= 1024 && (Word(1) & Word(1) - 1) == 0);
                _ring.Size = Word(1);
                return false;
            case 9:
                Expect(40, Word(0) == 0 && (Long(1) & 15) == 0 && (Long(2) & 3) == 0 && (Long(3) & 1) == 0 && Long(1) != Long(3));
                (_ring.Descriptors, _ring.Used, _ring.Available) = (Long(1), Long(2), Long(3));
                return false;
            case 10:
                Expect(8, Word(0) == 0 && Word(1) <= 0xFFFF);
                _ring.Base = (ushort)Word(1);
                return false;
            case 11:
                Expect(8, Word(0) == 0);
                _ring.IsStopped = true;
                byte[] state = [0, 0, 0, 0, .. BitConverter.GetBytes((uint)_ring.Base)];
                Reply(11, fault == Fault.ShortBaseReply ? state[4..] : state);
                return true;
            case 12:
                _ring.Kick = TakeEventFd(Long(0), _ring.Kick) ?? throw new HangUpException();
                _ring.IsStopped = false;
                _ring.IsEnabled &= fault != Fault.KickDisables;
                return false;
            case 13:
                _ring.Call = TakeEventFd(Long(0), _ring.Call);
                return false;
            case 14:
                TakeEventFd(Long(0), null)?.Dispose();
                return false;
            case 15:
                Expect(0);
                Reply(15, BitConverter.GetBytes(Mq | ReplyAck));
                return true;
            case 16:
                Expect(8, (Long(0) & ~(Mq | ReplyAck)) == 0);
                _protocol = Long(0);
                return false;
            case 17:
                Expect(0, (_protocol & Mq) != 0);
                Reply(17, BitConverter.GetBytes(1UL));
                return true;
            case 18:
                Expect(8, Word(0) == 0);
                _ring.IsEnabled = Word(1) != 0;
                return false;
            default:
                throw fault == Fault.DiesOfUnknown ? new DeathException() : new HangUpException();
        }
    }

    private void SetMemory(byte[] payload)
    {
        _memory.Dispose();
        int count = fault == Fault.OneRegion ? 1 : _fds.Count;
        for (int i = 0; i < count; i++)
        {
            using FileDescriptor file = _fds.Take(i);
            ReadOnlySpan<ulong> region = MemoryMarshal.Cast<byte, ulong>(payload.AsSpan(8 + 32 * i, 32));
            _memory.Add(region[0], region[1], region[2], region[3], file);
        }
    }

    private EventFd? TakeEventFd(ulong value, EventFd? old)
    {
        bool none = (value & 0x100) != 0;
        if ((value & 0xFF) != 0 || _fds.Count != (none ? 0 : 1))
            throw new HangUpException();
        try
        {
            EventFd? taken = none ? null : EventFd.Adopt(_fds.Take(0));
            old?.Dispose();
            return taken;
        }
        catch (LinuxException)
        {
            throw new HangUpException();
        }
    }

    private void Keep(int index)
    {
        try
        {
            daemon.Kept.Add(_fds.Take(index));
        }
        catch (InvalidOperationException)
        {
            // Taken, so it was of use.
        }
    }

    private void Reply(uint request, byte[] payload)
    {
        byte[] message = [.. BitConverter.GetBytes(request), .. BitConverter.GetBytes(fault == Fault.NoReplyBit ? 1u : 5u), .. BitConverter.GetBytes(payload.Length), .. payload];
        if (socket.SendWithFds(message, []) != message.Length)
            throw new HangUpException(); // nobody reads
    }

    private bool Read(Span<byte> bytes, bool once = false)
    {
        for (int have = 0; have < bytes.Length;)
        {
            if (!Readiness.WaitReadable(socket.Descriptor, TimeSpan.FromMilliseconds(20)) && !once)
            {
                if (daemon.IsStopped)
                    return false;
                continue;
            }

            int received = socket.ReceiveWithFds(bytes[have..], _fds);
            if (_fds.Truncated)
                throw new HangUpException();
            if (received == 0 || once)
                return have > 0 || received > 0;
            have += Math.Max(received, 0);
        }

        return true;
    }
}

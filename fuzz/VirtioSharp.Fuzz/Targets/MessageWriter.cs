using System.Runtime.InteropServices;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A front-end's messages as the input says: mostly of their right shape, with numbers and descriptors that may be anything.</summary>
internal sealed class MessageWriter : IDisposable
{
    /// <summary>Where the two regions that the input may share are, by guest and by user address.</summary>
    private const ulong Guest = 0x10_0000, User = 0x7f00_0000_0000;

    private const int RamBytes = 1 << 18, MaxMessages = 96;
    private const uint LastRequest = 45;

    private readonly Input _input;
    private readonly FileDescriptor _ram = MemFd.Create("fuzz-ram", RamBytes);
    private readonly FileDescriptor _small = MemFd.Create("fuzz-small", 4096);
    private readonly MappedRegion _mapped;
    private readonly MappedRegion _mappedSmall;
    private readonly EventFd[] _events = [EventFd.Create(), EventFd.Create()];
    private readonly (UnixSocket Ours, UnixSocket Theirs) _pair = UnixSocket.Pair(nonBlocking: true);
    private readonly byte[] _message = new byte[12 + 512];

    public MessageWriter(Input input)
    {
        _input = input;
        (_mapped, _mappedSmall) = (MappedRegion.Map(_ram, 0, RamBytes), MappedRegion.Map(_small, 0, 4096));
    }

    public void WriteAll(UnixSocket socket)
    {
        _mapped.Slice(0, RamBytes).Clear();
        _mappedSmall.Slice(0, 4096).Clear();
        foreach (EventFd one in _events)
        {
            one.TryDrain(out _);
            one.Signal(); // who gives it as a kick has kicked
        }

        WriteMemory();
        for (int messages = 0; !_input.IsEmpty && messages < MaxMessages; messages++)
            WriteMessage(socket);
    }

    public void Dispose()
    {
        _mapped.Dispose();
        _mappedSmall.Dispose();
        _ram.Dispose();
        _small.Dispose();
        foreach (EventFd one in _events)
            one.Dispose();
        _pair.Ours.Dispose();
        _pair.Theirs.Dispose();
    }

    /// <summary>Rings and whatever lies where the server will look: some words, mostly small.</summary>
    private void WriteMemory()
    {
        for (int words = _input.Byte() & 63; words > 0; words--)
        {
            int at = _input.Word() & (RamBytes - 8) & 0xFFFF;
            ulong value = _input.Byte() switch { < 128 and var small => small, < 192 => Guest + _input.Word(), _ => _input.Quad() };
            MemoryMarshal.Write(_mapped.Slice((ulong)at, 8), value);
            if (at < 4096 - 8)
                MemoryMarshal.Write(_mappedSmall.Slice((ulong)at, 8), value);
        }
    }

    private void WriteMessage(UnixSocket socket)
    {
        byte how = _input.Byte();
        uint request = _input.Byte() % (LastRequest + 2);
        Span<byte> payload = _message.AsSpan(12);
        int size = WritePayload((FrontEndRequest)request, payload);
        uint claimed = (uint)size;
        uint flags = 1u | ((how & 1) != 0 ? 8u : 0);
        if ((how & 0xF0) == 0xF0)
        {
            // Something is wrong with the header itself.
            flags = _input.Byte();
            claimed = _input.Bit() ? _input.Double() : (uint)size;
            size = Math.Min(size, _input.Byte());
        }

        MemoryMarshal.Write(_message.AsSpan(0), request);
        MemoryMarshal.Write(_message.AsSpan(4), flags);
        MemoryMarshal.Write(_message.AsSpan(8), claimed);
        try
        {
            socket.SendAllWithFds(_message.AsSpan(0, 12 + size), Descriptors((FrontEndRequest)request, (how & 0x0E) == 0x0E), TimeSpan.FromSeconds(1));
        }
        catch (LinuxException full) when (full.Errno is Errno.EAGAIN or Errno.EPIPE)
        {
            // More than a socket takes before anybody reads.
        }
    }

    private int WritePayload(FrontEndRequest request, Span<byte> payload)
    {
        switch (request)
        {
            case FrontEndRequest.SetMemTable:
                int regions = _input.Byte() & 7;
                MemoryMarshal.Write(payload, (ulong)(_input.Byte() == 0xFF ? _input.Byte() : regions));
                for (int i = 0; i < regions; i++)
                    WriteRegion(payload[(8 + 32 * i)..]);
                return 8 + 32 * regions;
            case FrontEndRequest.AddMemReg or FrontEndRequest.RemMemReg:
                MemoryMarshal.Write(payload, 0UL);
                WriteRegion(payload[8..]);
                return 40;
            case FrontEndRequest.SetVringAddr:
                MemoryMarshal.Write(payload, Ring() | (ulong)(_input.Byte() & 1) << 32);
                for (int i = 1; i < 5; i++)
                    MemoryMarshal.Write(payload[(8 * i)..], Address(i == 4 ? Guest : User));
                return 40;
            case FrontEndRequest.GetConfig or FrontEndRequest.SetConfig:
                int bytes = _input.Byte() & 31;
                MemoryMarshal.Write(payload, (uint)Number());
                MemoryMarshal.Write(payload[4..], (uint)(_input.Byte() == 0xFF ? Number() : (ulong)bytes));
                MemoryMarshal.Write(payload[8..], (uint)_input.Byte());
                payload.Slice(12, bytes).Fill(_input.Byte());
                return 12 + bytes;
            case FrontEndRequest.GetInflightFd or FrontEndRequest.SetInflightFd:
                MemoryMarshal.Write(payload, Number());
                MemoryMarshal.Write(payload[8..], Number());
                MemoryMarshal.Write(payload[16..], Ring() | (ulong)_input.Word() << 16);
                return _input.Byte() == 0xFF ? 20 : 24;
            case FrontEndRequest.SetLogBase:
                MemoryMarshal.Write(payload, Number());
                MemoryMarshal.Write(payload[8..], Number());
                return 16;
            case FrontEndRequest.IotlbMsg:
                for (int i = 0; i < 3; i++)
                    MemoryMarshal.Write(payload[(8 * i)..], Address(i == 2 ? User : Guest));
                MemoryMarshal.Write(payload[24..], (ulong)_input.Word());
                return 32;
            case FrontEndRequest.SetFeatures:
                MemoryMarshal.Write(payload, (ulong)_input.Byte() << 28 | (ulong)_input.Byte() << 20);
                return 8;
            case FrontEndRequest.SetProtocolFeatures:
                MemoryMarshal.Write(payload, (ulong)_input.Double());
                return 8;
            case FrontEndRequest.SetVringKick or FrontEndRequest.SetVringCall or FrontEndRequest.SetVringErr:
                MemoryMarshal.Write(payload, Ring() | (_input.Byte() == 0xFF ? 0x100u : 0));
                return 8;
            case FrontEndRequest.SetVringNum or FrontEndRequest.SetVringBase or FrontEndRequest.SetVringEnable or FrontEndRequest.GetVringBase:
                MemoryMarshal.Write(payload, Ring() | Number() << 32);
                return 8;
            case FrontEndRequest.VringKick:
                MemoryMarshal.Write(payload, (ulong)Ring());
                return 8;
            case FrontEndRequest.SetStatus or FrontEndRequest.SetDeviceStateFd:
                MemoryMarshal.Write(payload, Number());
                return 8;
            default:
                int any = _input.Byte() is var more && more > 0xF0 ? more : 0;
                payload[..any].Fill(_input.Byte());
                return any;
        }
    }

    private void WriteRegion(Span<byte> region)
    {
        ulong page = (ulong)(_input.Byte() & 3) * 0x2_0000;
        MemoryMarshal.Write(region, _input.Byte() < 0xF0 ? Guest + page : _input.Quad());
        MemoryMarshal.Write(region[8..], _input.Byte() < 0xF0 ? 0x2_0000UL : _input.Quad());
        MemoryMarshal.Write(region[16..], _input.Byte() < 0xF0 ? User + page : _input.Quad());
        MemoryMarshal.Write(region[24..], _input.Byte() < 0xF0 ? 0UL : _input.Quad());
    }

    /// <summary>Mostly one of the two that there are.</summary>
    private uint Ring() => _input.Byte() switch { < 0x80 => 0, < 0xF0 => 1, var other => other };

    private ulong Number() => _input.Byte() switch { < 0xE0 and var small => small, < 0xF0 => 1UL << (_input.Byte() & 63), _ => _input.Quad() };

    private ulong Address(ulong start) => _input.Byte() switch { < 0xE0 => start + (ulong)(_input.Word() & 0xFFF0), < 0xF0 => start + _input.Double(), _ => _input.Quad() };

    private FileDescriptor[] Descriptors(FrontEndRequest request, bool isOdd)
    {
        if (isOdd)
            return [.. Enumerable.Range(0, _input.Byte() % 12).Select(_ => Any(_input.Byte()))];
        return request switch
        {
            FrontEndRequest.SetMemTable => [.. Enumerable.Repeat(_ram, MemoryMarshal.Read<byte>(_message.AsSpan(12)) & 7)],
            FrontEndRequest.AddMemReg or FrontEndRequest.SetLogBase or FrontEndRequest.SetInflightFd => [_ram],
            FrontEndRequest.SetVringKick or FrontEndRequest.SetVringCall or FrontEndRequest.SetVringErr or FrontEndRequest.SetLogFd
                => (MemoryMarshal.Read<uint>(_message.AsSpan(12)) & 0x100) != 0 ? [] : [_events[_input.Byte() & 1].Descriptor],
            FrontEndRequest.SetBackEndReqFd or FrontEndRequest.SetDeviceStateFd => [_pair.Theirs.Descriptor],
            _ => [],
        };
    }

    private FileDescriptor Any(byte which) => (which % 5) switch
    {
        0 => _ram,
        1 => _small,
        2 => _events[0].Descriptor,
        3 => _events[1].Descriptor,
        _ => _pair.Theirs.Descriptor,
    };
}

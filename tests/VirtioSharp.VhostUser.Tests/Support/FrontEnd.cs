using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests; // not in Support: there the namespace VirtioSharp.VhostUser.FrontEnd would be found before it

/// <summary>A VMM's end of the socket. Sends what it is told to, right or wrong, and waits for answers no longer than <see cref="Patience"/>.</summary>
internal sealed class FrontEnd(UnixSocket socket) : IDisposable
{
    /// <summary>What a driver of today accepts, and the bit of the protocol itself.</summary>
    public const ulong ModernFeatures = Wire.ProtocolFeatures | Wire.Version1 | Wire.IndirectDesc | Wire.EventIdx;

    public const ProtocolFeatures UsualProtocol =
        ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq | ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.Status
        | ProtocolFeatures.ResetDevice | ProtocolFeatures.Mq | ProtocolFeatures.InflightShmfd | ProtocolFeatures.LogShmfd;

    private readonly ReceivedFds _fds = new(1); // one answer carries one

    public FileDescriptor Descriptor => socket.Descriptor;

    /// <summary>The most bytes that are sent at once.</summary>
    public int PieceSize { get; set; } = int.MaxValue;

    public void Dispose()
    {
        _fds.Dispose();
        socket.Dispose();
    }

    // ── messages ──

    public void SendRaw(ReadOnlySpan<byte> bytes, params FileDescriptor[] fds)
    {
        while (bytes.Length > 0)
        {
            ReadOnlySpan<byte> piece = bytes[..Math.Min(bytes.Length, PieceSize)];
            socket.SendAllWithFds(piece, fds, Patience.Limit);
            bytes = bytes[piece.Length..];
            fds = [];
        }
    }

    /// <summary>Nothing more will be sent, though answers are still read.</summary>
    public void EndSending() => Descriptors.EndSending(socket.Descriptor);

    public void Send(FrontEndRequest request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds) =>
        SendRaw([.. Wire.Header((uint)request, Wire.Version, (uint)payload.Length), .. payload], fds);

    public void SendNeedingReply(FrontEndRequest request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds) =>
        SendRaw([.. Wire.Header((uint)request, Wire.Version | Wire.NeedReply, (uint)payload.Length), .. payload], fds);

    /// <summary>The next message from the server; null when it has closed the connection.</summary>
    public (uint Request, uint Flags, byte[] Payload)? Receive()
    {
        if (Read(12) is not { } header)
            return null;
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(header);
        return (words[0], words[1], Read((int)words[2]) ?? throw new EndOfStreamException("a reply without its payload"));
    }

    /// <summary>Waits for the reply to a request, and checks its header.</summary>
    public byte[] Reply(FrontEndRequest request)
    {
        var reply = Receive();
        Assert.NotNull(reply);
        Assert.Equal(((uint)request, Wire.Version | Wire.Reply), (reply.Value.Request, reply.Value.Flags));
        return reply.Value.Payload;
    }

    public byte[] Ask(FrontEndRequest request, ReadOnlySpan<byte> payload = default)
    {
        Send(request, payload);
        return Reply(request);
    }

    /// <summary>Asks for what is answered with a descriptor, which the caller closes.</summary>
    public (byte[] Payload, FileDescriptor File) AskForFile(FrontEndRequest request, ReadOnlySpan<byte> payload)
    {
        byte[] reply = Ask(request, payload);
        Assert.Equal(1, _fds.Count);
        FileDescriptor file = _fds.Take(0);
        _fds.Clear();
        return (reply, file);
    }

    public ulong AskU64(FrontEndRequest request) => BitConverter.ToUInt64(Ask(request));

    /// <summary>Sends a message with NEED_REPLY.</summary>
    /// <returns>The answer: 0 for "done".</returns>
    public ulong Acknowledged(FrontEndRequest request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds)
    {
        SendNeedingReply(request, payload, fds);
        byte[] reply = Reply(request);
        Assert.Equal(8, reply.Length);
        return BitConverter.ToUInt64(reply);
    }

    public void Do(FrontEndRequest request, ReadOnlySpan<byte> payload = default, params FileDescriptor[] fds) =>
        Assert.Equal(0UL, Acknowledged(request, payload, fds));

    /// <summary>When it returns, everything sent before has been obeyed, and nothing was answered meanwhile.</summary>
    public ulong Barrier() => AskU64(FrontEndRequest.GetFeatures);

    /// <summary>Reads and forgets what has been answered so far.</summary>
    public void ReadAway()
    {
        Span<byte> some = stackalloc byte[1024];
        while (Readiness.WaitReadable(socket.Descriptor, TimeSpan.Zero) && socket.ReceiveWithFds(some, _fds) > 0)
        {
        }
    }

    /// <summary>Waits until the server has closed the connection; replies that come before are read away.</summary>
    public void AssertClosed()
    {
        try
        {
            while (Receive() is not null)
            {
            }
        }
        catch (LinuxException reset) when (reset.Errno == Errno.ECONNRESET)
        {
            // It closed while some of what we sent was unread.
        }
    }

    // ── what every session does ──

    /// <summary>The beginning of a session.</summary>
    /// <returns>The virtio features offered.</returns>
    public ulong Negotiate(ProtocolFeatures protocol = UsualProtocol)
    {
        ulong offered = AskU64(FrontEndRequest.GetFeatures);
        Assert.NotEqual(0UL, offered & Wire.ProtocolFeatures);
        protocol &= (ProtocolFeatures)AskU64(FrontEndRequest.GetProtocolFeatures);
        Send(FrontEndRequest.SetProtocolFeatures, Wire.U64((ulong)protocol));
        Send(FrontEndRequest.SetOwner);
        return offered;
    }

    public void AddMemory(GuestRam ram) => Do(FrontEndRequest.AddMemReg, Wire.OneRegion(ram.Region), ram.File);

    public void RemoveMemory(GuestRam ram) => Do(FrontEndRequest.RemMemReg, Wire.OneRegion(ram.Region));

    public void SetMemoryTable(params GuestRam[] rams) =>
        Do(FrontEndRequest.SetMemTable, Wire.Table((uint)rams.Length, rams.Select(ram => ram.Region)), [.. rams.Select(ram => ram.File)]);

    public void SetFeatures(ulong features) => Do(FrontEndRequest.SetFeatures, Wire.U64(features));

    public void Describe(GuestRing ring, ushort at = 0)
    {
        Send(FrontEndRequest.SetVringNum, Wire.State(ring.Index, (uint)ring.Size));
        Send(FrontEndRequest.SetVringBase, Wire.State(ring.Index, at));
        Send(FrontEndRequest.SetVringAddr, ring.AddressPayload);
        Send(FrontEndRequest.SetVringErr, Wire.U64(ring.Index), ring.Error.Descriptor);
        SendCall(ring);
    }

    public void SendCall(GuestRing ring) => Send(FrontEndRequest.SetVringCall, Wire.U64(ring.Index), ring.Call.Descriptor);

    public ulong SendKick(GuestRing ring) => Acknowledged(FrontEndRequest.SetVringKick, Wire.U64(ring.Index), ring.Kick.Descriptor);

    public ulong Enable(GuestRing ring, bool enabled = true) =>
        Acknowledged(FrontEndRequest.SetVringEnable, Wire.State(ring.Index, enabled ? 1u : 0));

    public void StartRing(GuestRing ring, ushort at = 0)
    {
        Describe(ring, at);
        Assert.Equal(0UL, SendKick(ring));
        Assert.Equal(0UL, Enable(ring));
    }

    /// <summary>Stops a ring.</summary>
    /// <returns>Where to go on.</returns>
    public uint StopRing(GuestRing ring)
    {
        byte[] reply = Ask(FrontEndRequest.GetVringBase, Wire.State(ring.Index, 0));
        Assert.Equal(ring.Index, BitConverter.ToUInt32(reply, 0));
        return BitConverter.ToUInt32(reply, 4);
    }

    /// <summary>A whole good handshake; the ring runs when it returns.</summary>
    public void Start(GuestRam ram, GuestRing ring, ulong features = ModernFeatures, ushort at = 0)
    {
        Negotiate();
        SetFeatures(features);
        AddMemory(ram);
        StartRing(ring, at);
    }

    private byte[]? Read(int count)
    {
        byte[] bytes = new byte[count];
        int have = 0;
        while (have < count)
        {
            Assert.True(Readiness.WaitReadable(socket.Descriptor, Patience.Limit), "the server does not answer");
            int received = socket.ReceiveWithFds(bytes.AsSpan(have), _fds);
            if (received == 0)
                return have == 0 ? null : throw new EndOfStreamException("the server closed the connection in the middle of a message");
            have += Math.Max(received, 0);
        }

        return bytes;
    }
}

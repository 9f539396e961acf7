using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A VMM's IOMMU: hears what the back-end misses, and gives translations of 4 KiB, or whatever it is told to.</summary>
internal sealed class GuestIommu : IDisposable
{
    public const ulong PageBytes = 4096;
    public const byte Read = 1, Write = 2, ReadWrite = 3;
    public const ulong Features = FrontEnd.ModernFeatures | Wire.AccessPlatform;

    private const byte Miss = 1, Update = 2, Invalidation = 3, AccessFail = 4;

    private readonly FrontEnd _frontEnd;
    private readonly UnixSocket _requests;
    private readonly ReceivedFds _fds = new(1);

    /// <param name="frontEnd">Has negotiated BACKEND_REQ.</param>
    public GuestIommu(FrontEnd frontEnd)
    {
        _frontEnd = frontEnd;
        (_requests, UnixSocket theirs) = UnixSocket.Pair();
        using (theirs)
            frontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
    }

    /// <summary>A handshake with an IOMMU in between; the ring is started, and has not been given a translation.</summary>
    public static GuestIommu Start(FrontEnd frontEnd, GuestRam ram, GuestRing ring, ulong features = Features)
    {
        frontEnd.Negotiate();
        var iommu = new GuestIommu(frontEnd);
        frontEnd.SetFeatures(features);
        frontEnd.AddMemory(ram);
        frontEnd.StartRing(ring);
        return iommu;
    }

    /// <summary>Waits for a miss.</summary>
    /// <returns>What it asks for, and for what access.</returns>
    public (ulong Address, byte Access) NextMiss() => Next(Miss);

    /// <summary>Waits for the message that an access failed.</summary>
    public (ulong Address, byte Access) NextAccessFailure() => Next(AccessFail);

    /// <summary>Waits for a miss, and gives the page.</summary>
    /// <param name="user">Where the page of an I/O address is.</param>
    /// <param name="permission">Null gives what was asked for.</param>
    public (ulong Address, byte Access) Answer(Func<ulong, ulong> user, byte? permission = null)
    {
        (ulong address, byte access) = NextMiss();
        ulong page = address & ~(PageBytes - 1);
        Assert.Equal(0UL, Map(page, PageBytes, user(page), permission ?? access));
        AnswerMiss(0);
        return (address, access);
    }

    /// <summary>Gives a translation.</summary>
    /// <returns>0 when it was taken.</returns>
    public ulong Map(ulong address, ulong size, ulong user, byte permission) => Send(Wire.Iotlb(address, size, user, permission, Update));

    /// <summary>Takes translations away.</summary>
    public void Invalidate(ulong address, ulong size) => Assert.Equal(0UL, Send(Wire.Iotlb(address, size, 0, 0, Invalidation)));

    /// <summary>Answers the miss that was heard last; anything but 0 refuses.</summary>
    public void AnswerMiss(ulong answer) => SendRaw([.. Wire.Header(1, Wire.Version | Wire.Reply, 8), .. Wire.U64(answer)]);

    public void SendRaw(ReadOnlySpan<byte> bytes) => _requests.SendAllWithFds(bytes, [], Patience.Limit);

    /// <summary>Nobody has asked for anything that was not heard here.</summary>
    public void AssertSilent()
    {
        _frontEnd.Barrier();
        Assert.False(Readiness.WaitReadable(_requests.Descriptor, TimeSpan.Zero), "there is another request");
    }

    public void Dispose()
    {
        _fds.Dispose();
        _requests.Dispose();
    }

    private ulong Send(byte[] payload) => BitConverter.ToUInt64(_frontEnd.Ask(FrontEndRequest.IotlbMsg, payload));

    private (ulong Address, byte Access) Next(byte type)
    {
        Span<byte> message = stackalloc byte[12 + 32];
        for (int have = 0; have < message.Length;)
        {
            Assert.True(Readiness.WaitReadable(_requests.Descriptor, Patience.Limit), "the server asks for nothing");
            int received = _requests.ReceiveWithFds(message[have..], _fds);
            Assert.NotEqual(0, received);
            have += Math.Max(received, 0);
        }

        ReadOnlySpan<uint> header = MemoryMarshal.Cast<byte, uint>(message[..12]);
        Assert.Equal((1u, Wire.Version, 32u), (header[0], header[1] & ~Wire.NeedReply, header[2]));
        Assert.Equal(type, message[12 + 25]);
        return (BitConverter.ToUInt64(message[12..]), message[12 + 24]);
    }
}

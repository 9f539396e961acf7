using System.Runtime.InteropServices;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A front-end that sends one whole handshake and one request.</summary>
internal sealed class GoodFrontEnd : IDisposable
{
    private const ulong Guest = 0x40_0000, User = 0x7e00_0000_0000;
    private const int RamBytes = 0x1_0000, Entries = 8, Available = 0x1000, Used = 0x2000, Buffer = 0x3000, Length = 64;

    private readonly FileDescriptor _ram = MemFd.Create("fuzz-good", RamBytes);
    private readonly MappedRegion _mapped;
    private readonly EventFd _kick = EventFd.Create();

    public GoodFrontEnd() => _mapped = MappedRegion.Map(_ram, 0, RamBytes);

    public void WriteAll(UnixSocket socket)
    {
        _mapped.Slice(0, RamBytes).Clear();
        MemoryMarshal.Write(_mapped.Slice(0, Descriptor.Size), new Descriptor(Guest + Buffer, Length, DescriptorFlags.Write, 0));
        MemoryMarshal.Write(_mapped.Slice(Available + SplitLayout.IndexOffset, 2), (ushort)1);
        _kick.TryDrain(out _);
        _kick.Signal();

        Send(socket, FrontEndRequest.SetFeatures, [1UL << 32 | 1UL << 30]);
        Send(socket, FrontEndRequest.SetMemTable, [1, Guest, RamBytes, User, 0], _ram);
        Send(socket, FrontEndRequest.SetVringNum, [(ulong)Entries << 32]);
        Send(socket, FrontEndRequest.SetVringBase, [0]);
        Send(socket, FrontEndRequest.SetVringAddr, [0, User, User + Used, User + Available, 0]);
        Send(socket, FrontEndRequest.SetVringKick, [0], _kick.Descriptor);
        Send(socket, FrontEndRequest.SetVringEnable, [1UL << 32]);
        Send(socket, FrontEndRequest.GetVringBase, [0]);
    }

    public void RequireServed()
    {
        ushort used = MemoryMarshal.Read<ushort>(_mapped.Slice(Used + SplitLayout.IndexOffset, 2));
        var element = MemoryMarshal.Read<UsedElement>(_mapped.Slice(Used + SplitLayout.RingOffset, 8));
        if (used != 1 || element.Length != Length || _mapped.Slice(Buffer, Length).ContainsAnyExcept((byte)0x5A))
            throw new FindingException($"the front-end that behaves was not served: used.idx = {used}, length {(uint)element.Length}");
    }

    public void Dispose()
    {
        _mapped.Dispose();
        _ram.Dispose();
        _kick.Dispose();
    }

    private static void Send(UnixSocket socket, FrontEndRequest request, ReadOnlySpan<ulong> payload, params ReadOnlySpan<FileDescriptor> fds)
    {
        Span<byte> message = stackalloc byte[12 + 8 * payload.Length];
        MemoryMarshal.Write(message, (uint)request);
        MemoryMarshal.Write(message[4..], 1u);
        MemoryMarshal.Write(message[8..], (uint)(8 * payload.Length));
        MemoryMarshal.AsBytes(payload).CopyTo(message[12..]);
        socket.SendAllWithFds(message, fds, TimeSpan.FromSeconds(1));
    }
}

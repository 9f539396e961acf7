using System.Runtime.InteropServices;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Tests.Support;

/// <summary>
/// A front-end of few words, so that our driver can use a daemon without a VM: one memory region, one ring, and the
/// messages that no back-end can do without. Written from the specification and nothing of ours, so that both cannot
/// be wrong in the same way.
/// </summary>
internal sealed class VhostUserTransport : IDriverTransport
{
    private const ulong ProtocolFeatures = 1UL << 30;
    private const ulong UserBase = 0x7f00_0000_0000; // our "user addresses": only the offsets count
    private const int MemoryBytes = 1 << 20;
    private static readonly GuestAddress Ram = new(0x10_0000);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly UnixSocket _socket;
    private readonly EventFd _kick = EventFd.Create();
    private readonly EventFd _call = EventFd.Create();
    private DeviceStatus _status;
    private bool _enabled;
    private bool _packed;

    public VhostUserTransport(UnixSocket socket)
    {
        _socket = socket;
        using FileDescriptor memory = MemFd.Create("ram", MemoryBytes);
        MappedRegion mapping = MappedRegion.Map(memory, 0, MemoryBytes);
        Dma = new DmaArena(new MemoryRegion(Ram, MemoryBytes, mapping.Address), mapping);
        Send(3 /* SET_OWNER */, []);
        Ask(1 /* GET_FEATURES */);
        // regions, padding │ guest address, size, user address, mmap offset
        Send(5 /* SET_MEM_TABLE */, [1, Ram.Value, MemoryBytes, UserBase, 0], memory);
    }

    public DeviceId DeviceId => DeviceId.Entropy;

    public int QueueCount => 1;

    public DmaArena Dma { get; }

    public TimeProvider Time => TimeProvider.System;

    public static VhostUserTransport Connect(string path) => new(UnixSocket.Connect(path));

    /// <summary>Features that the driver is not told of.</summary>
    public FeatureSet Hidden { get; init; }

    public FeatureSet ReadDeviceFeatures() => new FeatureSet(Ask(1 /* GET_FEATURES */) & ~ProtocolFeatures) - Hidden;

    public void WriteDriverFeatures(FeatureSet features)
    {
        _packed = features.Has(Features.RingPacked);
        Send(2 /* SET_FEATURES */, [features.Low | ProtocolFeatures]);
    }

    public DeviceStatus ReadStatus() => _status;

    public void WriteStatus(DeviceStatus status)
    {
        if (status == DeviceStatus.Reset && _enabled)
        {
            _enabled = false;
            try
            {
                Ask(11 /* GET_VRING_BASE */, 0);
            }
            catch (LinuxException gone) when (gone.Errno is Errno.EPIPE or Errno.ECONNRESET)
            {
                // What is gone needs no reset.
            }
        }

        _status = status;
    }

    public int ReadMaxQueueSize(int index) => 256;

    public void EnableQueue(int index, in QueueLayout layout)
    {
        _enabled = true;
        // A ring's state is u32 index, u32 number; an address message u32 index, u32 flags and four u64.
        Send(8 /* SET_VRING_NUM */, [(ulong)layout.Size << 32]);
        // A packed ring starts with both wrap counters at 1: bit 15 of either half.
        Send(10 /* SET_VRING_BASE */, [_packed ? 0x8000_8000UL << 32 : 0]);
        Send(9 /* SET_VRING_ADDR */, [0, User(layout.DescriptorArea), User(layout.DeviceArea), User(layout.DriverArea), 0]);
        Send(13 /* SET_VRING_CALL */, [0], _call.Descriptor);
        Send(12 /* SET_VRING_KICK */, [0], _kick.Descriptor);
        Send(18 /* SET_VRING_ENABLE */, [1UL << 32]);
    }

    public void ResetQueue(int index) => throw new NotSupportedException();

    public void Notify(QueueNotification notification) => _kick.Signal();

    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        if (!Readiness.WaitReadable(_call.Descriptor, timeout))
            return InterruptSource.None;
        _call.TryDrain(out _);
        return sources[0];
    }

    public void ReadConfiguration(uint offset, Span<byte> destination) => throw new NotSupportedException();

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) => throw new NotSupportedException();

    public uint ReadConfigurationGeneration() => 0;

    public void Dispose()
    {
        _socket.Dispose();
        _kick.Dispose();
        _call.Dispose();
        Dma.Dispose();
    }

    private static ulong User(GuestAddress guest) => guest.Value - Ram.Value + UserBase;

    private ulong Ask(uint request, params ReadOnlySpan<ulong> payload)
    {
        Send(request, payload);
        Span<byte> reply = stackalloc byte[12 + 8];
        using var none = new ReceivedFds();
        for (int got = 0; got < reply.Length;)
        {
            Assert.True(Readiness.WaitReadable(_socket.Descriptor, Patience), $"no reply to request {request}");
            int more = _socket.ReceiveWithFds(reply[got..], none);
            Assert.True(more > 0, $"the back-end closed the connection at request {request}");
            got += more;
        }

        // request, flags (version 1 and REPLY), size
        Assert.Equal([request, 5, 8], MemoryMarshal.Cast<byte, uint>(reply[..12]).ToArray());
        return MemoryMarshal.Read<ulong>(reply[12..]);
    }

    private void Send(uint request, ReadOnlySpan<ulong> payload, params ReadOnlySpan<FileDescriptor> fds)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(payload);
        Span<byte> message = stackalloc byte[12 + bytes.Length];
        ReadOnlySpan<uint> header = [request, 1 /* version */, (uint)bytes.Length];
        MemoryMarshal.AsBytes(header).CopyTo(message);
        bytes.CopyTo(message[12..]);
        _socket.SendAllWithFds(message, fds, Patience);
    }
}

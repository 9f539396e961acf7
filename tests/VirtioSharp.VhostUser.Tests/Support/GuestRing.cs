using System.Runtime.CompilerServices;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A driver's end of a split ring as plain as can be: every field can be written, rightly or wrongly.</summary>
/// <remarks>
/// <code>
///   offset   +0            +0x8000      +0xA000      +0xE000         +0x10000
///            descriptors   available    used         indirect table  buffers
/// </code>
/// </remarks>
internal sealed unsafe class GuestRing : IDisposable
{
    /// <summary>Bytes of guest memory that a ring and its buffers take.</summary>
    public const ulong Extent = 0x20000;

    private const ulong Available = 0x8000, Used = 0xA000, Table = 0xE000, Buffers = 0x10000;

    private readonly GuestRam _ram;
    private readonly ulong _offset;

    public GuestRing(GuestRam ram, ulong offset = 0, int size = 256, uint index = 0, ushort at = 0)
    {
        (_ram, _offset, Size, Index) = (ram, offset, size, index);
        Restart(at);
    }

    public uint Index { get; }

    public int Size { get; }

    public EventFd Kick { get; } = EventFd.Create();

    public EventFd Call { get; } = EventFd.Create();

    public EventFd Error { get; } = EventFd.Create();

    /// <summary>Guest address of the buffers: 64 KiB.</summary>
    public ulong Buffer => Place + Buffers;

    /// <summary>Guest address of the indirect table.</summary>
    public ulong IndirectTable => Place + Table;

    public ulong UserDescriptors => User(0);

    public ulong UserAvailable => User(Available);

    public ulong UserUsed => User(Used);

    public ref ushort AvailableIndex => ref Word(Available + SplitLayout.IndexOffset);

    public ref ushort AvailableFlags => ref Word(Available + SplitLayout.FlagsOffset);

    public ref ushort UsedEvent => ref Word(Available + (ulong)SplitLayout.UsedEventOffset(Size));

    public ref ushort UsedFlags => ref Word(Used + SplitLayout.FlagsOffset);

    public ref ushort AvailableEvent => ref Word(Used + (ulong)SplitLayout.AvailEventOffset(Size));

    /// <summary>How far the device has come, read as a driver reads it. No driver writes it.</summary>
    public ushort UsedIndex
    {
        get => Volatile.Read(ref Word(Used + SplitLayout.IndexOffset));
        set => Volatile.Write(ref Word(Used + SplitLayout.IndexOffset), value);
    }

    public byte[] AddressPayload => IoAddress is { } io
        ? Wire.Address(Index, io, io + Used, io + Available, UsedLog)
        : Wire.Address(Index, UserDescriptors, UserUsed, UserAvailable, UsedLog);

    /// <summary>SET_VRING_ADDR in guest addresses.</summary>
    public byte[] GuestAddressPayload => Wire.Address(Index, Place, Place + Used, Place + Available, UsedLog);

    /// <summary>Where the ring starts for its device, behind an IOMMU.</summary>
    public ulong? IoAddress { get; set; }

    /// <summary>Where the used ring is logged, if it is.</summary>
    public ulong? UsedLog { get; set; }

    /// <summary>Guest address of the used ring.</summary>
    public ulong UsedRing => _ram.Start + _offset + Used;

    /// <summary>All zero, as a driver leaves its ring after a reset; both indices as if it had come round to <paramref name="at"/>.</summary>
    public void Restart(ushort at = 0)
    {
        _ram.Bytes(_offset, (int)Buffers).Clear();
        AvailableIndex = at;
        UsedIndex = at;
    }

    public Span<byte> BufferBytes(int offset, int length) => _ram.Bytes(_offset + Buffers + (ulong)offset, length);

    public void SetDescriptor(int index, ulong address, uint length, DescriptorFlags flags, ushort next = 0) =>
        Unsafe.Write(_ram.Pointer(_offset + (ulong)index * Descriptor.Size), new Descriptor(address, length, flags, next));

    public void SetIndirect(int index, ulong address, uint length, DescriptorFlags flags, ushort next = 0) =>
        Unsafe.Write(_ram.Pointer(_offset + Table + (ulong)index * Descriptor.Size), new Descriptor(address, length, flags, next));

    /// <summary>Makes a chain available.</summary>
    public void Offer(ushort head)
    {
        Word(Available + SplitLayout.RingOffset + 2 * (ulong)(AvailableIndex % Size)) = head;
        Volatile.Write(ref AvailableIndex, (ushort)(AvailableIndex + 1));
    }

    /// <summary>Makes one writable buffer available, filled with zeros before.</summary>
    public void OfferBuffer(int length = 64, ushort head = 0)
    {
        BufferBytes(head * 64, length).Clear();
        SetDescriptor(head, Buffer + head * 64UL, (uint)length, DescriptorFlags.Write);
        Offer(head);
    }

    /// <summary>An entry of the used ring, by the index that counts on modulo 2^16.</summary>
    public UsedElement UsedAt(ushort index) =>
        Unsafe.Read<UsedElement>(_ram.Pointer(_offset + Used + SplitLayout.RingOffset + 8 * (ulong)(index % Size)));

    /// <summary>Waits until the device has used everything up to <paramref name="index"/>, as a driver waits: for the call descriptor.</summary>
    public void WaitUsed(ushort index)
    {
        UsedEvent = (ushort)(index - 1);
        Interlocked.MemoryBarrier(); // the device writes its index, then reads our event; we the other way round
        while (UsedIndex != index)
        {
            Assert.True(Readiness.WaitReadable(Call.Descriptor, Patience.Limit), $"ring {Index}: used.idx stays {UsedIndex}, {index} was expected");
            Call.TryDrain(out _);
        }
    }

    /// <summary>Sends a buffer through the device.</summary>
    /// <returns>The length it said it wrote.</returns>
    public uint Serve(int length = 64, ushort head = 0)
    {
        ushort at = UsedIndex;
        OfferBuffer(length, head);
        Kick.Signal();
        WaitUsed((ushort)(at + 1));
        Assert.Equal(head, UsedAt(at).Id);
        return UsedAt(at).Length;
    }

    /// <summary>Sends a buffer through the entropy device, and looks at what came.</summary>
    public void AssertServes(int length = 64)
    {
        Assert.Equal((uint)length, Serve(length));
        Assert.True(length < 16 || BufferBytes(0, length).ContainsAnyExcept((byte)0), "the buffer was said to be filled, but is all zero");
    }

    public void Dispose()
    {
        Kick.Dispose();
        Call.Dispose();
        Error.Dispose();
    }

    private ulong Place => IoAddress ?? _ram.Start + _offset;

    private ulong User(ulong area) => _ram.ToUser(_ram.Start + _offset + area);

    private ref ushort Word(ulong offset) => ref *(ushort*)_ram.Pointer(_offset + offset);
}

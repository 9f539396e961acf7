using VirtioSharp.Linux;

namespace VirtioSharp.Check.Guest;

/// <summary>A buffer of a request: readable for the device, or writable.</summary>
internal readonly record struct Segment(ulong Address, uint Length, bool IsWritable);

/// <summary>What the device said of a chain that it has used.</summary>
internal readonly record struct Used(uint Id, uint Length);

/// <summary>A driver's end of a ring, as plain as can be; what it writes it does not check.</summary>
/// <remarks>
/// <code>
///   from Start   +0            +0x8000   +0xA000   +0xE000          +0x10000
///                descriptors   driver    device    indirect table   buffers
/// </code>
/// </remarks>
internal abstract class DriverRing : IDisposable
{
    /// <summary>Bytes of guest memory that a ring and its buffers take.</summary>
    public const ulong Extent = 0x20000;

    protected const ushort NextFlag = 1, WriteFlag = 2, IndirectFlag = 4;

    protected DriverRing(GuestRegion ram, ulong start, int size, uint index) =>
        (Ram, Start, Size, Index) = (ram, start, size, index);

    public GuestRegion Ram { get; }

    public ulong Start { get; }

    public int Size { get; }

    public uint Index { get; }

    /// <summary>Guest address of the device area: the used ring, or the device's event suppression.</summary>
    public ulong DeviceArea => Start + 0xA000;

    public ulong DriverArea => Start + 0x8000;

    public ulong IndirectTable => Start + 0xE000;

    public ulong Buffers => Start + 0x10000;

    public EventFd Kick { get; } = EventFd.Create();

    public EventFd Call { get; } = EventFd.Create();

    public EventFd Error { get; } = EventFd.Create();

    /// <summary>What SET_VRING_BASE says of the ring's place.</summary>
    public abstract uint Base { get; }

    /// <summary>The payload of SET_VRING_ADDR.</summary>
    public byte[] Address => Ram.BehindIommu != 0
        ? Wire.Payload.Address(Index, Start, DeviceArea, DriverArea)
        : Wire.Payload.Address(Index, Ram.ToUser(Start), Ram.ToUser(DeviceArea), Ram.ToUser(DriverArea));

    /// <summary>As after a reset: all zero, standing at <paramref name="at"/>.</summary>
    public abstract void Restart(ushort at = 0);

    /// <summary>Makes a request available; no kick.</summary>
    /// <returns>What its used entry will be called.</returns>
    public abstract uint Offer(params ReadOnlySpan<Segment> segments);

    /// <summary>The same, through an indirect table in the buffers' memory at <paramref name="table"/>.</summary>
    public abstract uint OfferIndirect(ulong table, params ReadOnlySpan<Segment> segments);

    /// <summary>Takes the next chain that the device has used.</summary>
    public abstract bool TryTake(out Used used);

    public void Dispose()
    {
        Kick.Dispose();
        Call.Dispose();
        Error.Dispose();
    }
}

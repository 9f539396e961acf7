using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Guest;

/// <summary>A region of guest memory as a VMM has it: a memory file, known by three different addresses.</summary>
internal sealed unsafe class GuestRegion : IDisposable
{
    public const ulong DefaultGuest = 0x4000_0000, DefaultUser = 0x7f12_0000_0000, DefaultSize = 2 << 20;

    private readonly MappedRegion _mapping;

    public GuestRegion(ulong guest = DefaultGuest, ulong user = DefaultUser, ulong size = DefaultSize, ulong offset = 0)
    {
        (Guest, User, Size, Offset) = (guest, user, size, offset);
        File = MemFd.Create("vio-check", checked((long)(size + offset)));
        _mapping = MappedRegion.Map(File, offset, size);
    }

    public ulong Guest { get; }

    public ulong User { get; }

    public ulong Size { get; }

    public ulong Offset { get; }

    public FileDescriptor File { get; }

    /// <summary>Added to the guest address in what the daemon is told: with an IOMMU, the driver's addresses are not guest addresses.</summary>
    public ulong BehindIommu { get; set; }

    /// <summary>Its description in a message.</summary>
    public byte[] Description => Payload.Region(Guest + BehindIommu, Size, User, Offset);

    /// <summary>The bytes at a guest address.</summary>
    public Span<byte> At(ulong guest, int length) => _mapping.Slice(guest - Guest, length);

    /// <summary>Where a guest address lies in this process.</summary>
    public byte* Pointer(ulong guest)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(guest - Guest, Size);
        return (byte*)_mapping.Address + (guest - Guest);
    }

    public ulong ToUser(ulong guest) => guest - Guest + User;

    public void Dispose()
    {
        _mapping.Dispose();
        File.Dispose();
    }
}

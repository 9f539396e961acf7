using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A region of guest memory: a memfd, mapped on the test's side as a VMM does, at three different addresses.</summary>
internal sealed class GuestRam : IDisposable
{
    /// <summary>What its file is called in /proc.</summary>
    public const string FileName = "test-guest-ram";

    public const ulong DefaultGuestAddress = 0x4000_0000, DefaultUserAddress = 0x7f12_0000_0000;

    private readonly MappedRegion _mapping;

    public GuestRam(
        ulong guestAddress = DefaultGuestAddress,
        ulong userAddress = DefaultUserAddress,
        ulong size = 1 << 20,
        ulong mmapOffset = 0,
        bool allowSealing = true)
    {
        File = MemFd.Create(FileName, checked((long)(size + mmapOffset)), allowSealing);
        Region = new Wire.Region(guestAddress, size, userAddress, mmapOffset);
        _mapping = MappedRegion.Map(File, mmapOffset, Math.Min(size, 4 << 20));
    }

    public FileDescriptor File { get; }

    public Wire.Region Region { get; }

    public ulong Start => Region.GuestAddress;

    /// <summary>The bytes at an offset from the region's start.</summary>
    public Span<byte> Bytes(ulong offset, int length) => _mapping.Slice(offset, length);

    /// <summary>Where an offset lies in this process.</summary>
    public unsafe byte* Pointer(ulong offset) => (byte*)_mapping.Address + offset;

    public ulong ToUser(ulong guestAddress) => guestAddress - Region.GuestAddress + Region.UserAddress;

    public void Dispose()
    {
        _mapping.Dispose();
        File.Dispose();
    }
}

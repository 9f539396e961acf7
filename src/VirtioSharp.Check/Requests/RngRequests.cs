using VirtioSharp.Check.Guest;

namespace VirtioSharp.Check.Requests;

/// <summary>The entropy device (VIRTIO 1.2 §5.4.6): a buffer to write into comes back with random bytes.</summary>
internal sealed class RngRequests : DeviceRequests
{
    private const int Length = 64;

    public override int Descriptors => 1;

    public override Segment[] Prepare(GuestRegion ram, ulong at)
    {
        ram.At(at, Room).Clear();
        return [new Segment(at, Length, IsWritable: true)];
    }

    public override void Verify(GuestRegion ram, ulong at, uint usedLength)
    {
        if (usedLength is 0 or > Length)
            throw new FailedException($"a buffer of {Length} bytes came back with length {usedLength}");
        // One in 2^64 honest answers of 8 bytes is all zero.
        if (usedLength >= 8 && !ram.At(at, (int)usedLength).ContainsAnyExcept((byte)0))
            throw new FailedException($"a buffer came back with length {usedLength}, but nothing was written to it");
        if (ram.At(at + Length, Room - Length).ContainsAnyExcept((byte)0))
            throw new FailedException($"the device wrote past the end of a buffer of {Length} bytes");
    }
}

using System.Buffers.Binary;
using VirtioSharp.Check.Guest;

namespace VirtioSharp.Check.Requests;

/// <summary>The block device (VIRTIO 1.2 §5.2.6): a header, data, a status byte. A good request reads sector 0.</summary>
internal sealed class BlkRequests : DeviceRequests
{
    public const uint In = 0, Out = 1, GetId = 8;
    public const byte Ok = 0, IoError = 1, Unsupported = 2;
    public const int Sector = 512;

    private const ulong DataOffset = 0x100, StatusOffset = 0x3F0;
    private const byte NotWritten = 0xEE;

    private byte[]? _sector0;

    public override int Descriptors => 3;

    public override Segment[] Prepare(GuestRegion ram, ulong at) => Prepare(ram, at, In, 0, Sector);

    /// <summary>Any request; data is filled with what the answer will not be.</summary>
    public Segment[] Prepare(GuestRegion ram, ulong at, uint type, ulong sector, int length, bool toDevice = false)
    {
        Span<byte> header = ram.At(at, 16);
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], sector);
        Span<byte> data = Data(ram, at, Sector);
        for (int i = 0; i < data.Length; i++)
            data[i] = (byte)~(_sector0?[i] ?? 0x5A);
        ram.At(at + StatusOffset, 1)[0] = NotWritten;
        return
        [
            new Segment(at, 16, IsWritable: false),
            new Segment(at + DataOffset, (uint)length, IsWritable: !toDevice),
            new Segment(at + StatusOffset, 1, IsWritable: true),
        ];
    }

    public static Span<byte> Data(GuestRegion ram, ulong at, int length) => ram.At(at + DataOffset, length);

    public static byte Status(GuestRegion ram, ulong at) => ram.At(at + StatusOffset, 1)[0];

    public override void Verify(GuestRegion ram, ulong at, uint usedLength)
    {
        byte status = Status(ram, at);
        if (status == NotWritten)
            throw new FailedException("a read of sector 0 came back without a status");
        if (status != Ok)
            throw new FailedException($"a read of sector 0 came back with status {status}");
        if (usedLength is 0 or > Sector + 1)
            throw new FailedException($"a read of sector 0 came back with length {usedLength}; {Sector + 1} bytes were there to write");
        ReadOnlySpan<byte> data = Data(ram, at, Sector);
        _sector0 ??= data.ToArray();
        if (!data.SequenceEqual(_sector0))
            throw new FailedException("two reads of sector 0 brought different bytes, or did not fill the buffer");
    }
}

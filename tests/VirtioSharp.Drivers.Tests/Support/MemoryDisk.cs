using System.Runtime.InteropServices;
using System.Text;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Tests.Support;

/// <summary>A request as the disk saw it.</summary>
/// <param name="Queue">From which queue.</param>
/// <param name="Type">What it asked for.</param>
/// <param name="Sector">Where, by its header or its range.</param>
/// <param name="Sectors">How much.</param>
/// <param name="Segments">How many pieces its data came in.</param>
/// <param name="LongestSegment">Bytes of the longest.</param>
/// <param name="Flags">Those of a range.</param>
internal sealed record Seen(int Queue, BlockRequestType Type, ulong Sector, uint Sectors, int Segments, int LongestSegment, uint Flags);

/// <summary>A block device with its sectors in an array. Serves what §5.2.6 says, unless a test wants it to misbehave.</summary>
internal sealed class MemoryDisk : VirtioDevice
{
    private BlockConfiguration _space;

    public MemoryDisk(int sectors, FeatureSet features = default, BlockConfiguration space = default, int queues = 1, int queueSize = 64)
    {
        Sectors = new byte[sectors * BlockLayout.SectorBytes];
        _space = space with { Capacity = (ulong)sectors };
        Traits = new DeviceTraits(DeviceId.Block, features, [.. Enumerable.Range(1, queues).Select(i => new QueueTraits($"request{i}", queueSize))])
        {
            ConfigurationSize = BlockConfiguration.Size,
        };
    }

    public override DeviceTraits Traits { get; }

    public byte[] Sectors { get; }

    public string Id { get; set; } = "memory";

    public byte Writeback => _space.Writeback;

    public bool Records { get; set; } = true;

    public List<Seen> Requests { get; } = [];

    /// <summary>A status to write in place of serving the request; null serves it.</summary>
    public Func<BlockRequestType, byte?>? Refusal { get; set; }

    /// <summary>The used length to tell the driver, given the honest one.</summary>
    public Func<uint, uint>? Length { get; set; }

    /// <summary>Does everything but write the status.</summary>
    public bool ForgetsStatus { get; set; }

    /// <summary>Switches the cache on with every reset.</summary>
    public bool RestoresWriteback { get; set; }

    /// <summary>Keeps requests until <see cref="Complete"/>.</summary>
    public bool Holds { get; set; }

    public List<(int Queue, PendingChain Chain)> Held { get; } = [];

    /// <summary>Says another capacity, and sends the notification.</summary>
    public void Resize(ulong sectors, bool notify = true)
    {
        _space = _space with { Capacity = sectors };
        if (notify)
            Services.ConfigurationChanged();
    }

    public void Complete(int held)
    {
        (int queue, PendingChain pending) = Held[held];
        DeviceChain chain = pending.Open();
        Serve(queue, ref chain);
        pending.Complete(Length?.Invoke(chain.Written) ?? chain.Written);
    }

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        if (!Holds && Length is null)
        {
            Serve(queue, ref chain);
            return;
        }

        Held.Add((queue, chain.Hold()));
        if (!Holds)
            Complete(Held.Count - 1);
    }

    public override void OnReset()
    {
        Held.Clear();
        if (RestoresWriteback)
            _space = _space with { Writeback = 1 };
    }

    public override void ReadConfiguration(int offset, Span<byte> destination) =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<BlockConfiguration>(in _space)).Slice(offset, destination.Length).CopyTo(destination);

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        if (offset != BlockConfigurationOffset.Writeback)
            return false;
        _space = _space with { Writeback = source[0] };
        return true;
    }

    private void Serve(int queue, scoped ref DeviceChain chain)
    {
        Span<byte> raw = stackalloc byte[BlockRequestHeader.Size];
        chain.ReadExactly(raw);
        var header = MemoryMarshal.Read<BlockRequestHeader>(raw);
        byte status = Refusal?.Invoke(header.Type) ?? header.Type switch
        {
            BlockRequestType.In => Read(queue, header.Sector, ref chain),
            BlockRequestType.Out => Write(queue, header.Sector, ref chain),
            BlockRequestType.Flush => Note(new Seen(queue, header.Type, header.Sector, 0, 0, 0, 0)),
            BlockRequestType.GetId => GetId(queue, ref chain),
            BlockRequestType.Discard or BlockRequestType.WriteZeroes => Zero(queue, header.Type, ref chain),
            _ => (byte)BlockStatus.Unsupported,
        };
        Skip(ref chain); // the status is the last byte, whatever the framing
        if (!ForgetsStatus)
            chain.Write([status]);
    }

    private byte Read(int queue, ulong sector, scoped ref DeviceChain chain)
    {
        (int bytes, int segments, int longest) = ((int)chain.WritableLeft - 1, 0, 0);
        if (!Fits(sector, bytes))
            return (byte)BlockStatus.IoError;
        ReadOnlySpan<byte> data = Sectors.AsSpan((int)sector * BlockLayout.SectorBytes, bytes);
        while (data.Length > 0 && chain.TryNextWritable(out Span<byte> room))
        {
            room = room[..Math.Min(room.Length, data.Length)];
            data[..room.Length].CopyTo(room);
            data = data[room.Length..];
            chain.Advance(room.Length);
            (segments, longest) = (segments + 1, Math.Max(longest, room.Length));
        }

        return Note(BlockRequestType.In, queue, sector, bytes, segments, longest);
    }

    private byte Write(int queue, ulong sector, scoped ref DeviceChain chain)
    {
        (int bytes, int segments, int longest) = ((int)chain.ReadableLeft, 0, 0);
        if (!Fits(sector, bytes))
            return (byte)BlockStatus.IoError;
        Span<byte> at = Sectors.AsSpan((int)sector * BlockLayout.SectorBytes, bytes);
        while (chain.TryNextReadable(out ReadOnlySpan<byte> piece))
        {
            piece.CopyTo(at);
            at = at[piece.Length..];
            (segments, longest) = (segments + 1, Math.Max(longest, piece.Length));
        }

        return Note(BlockRequestType.Out, queue, sector, bytes, segments, longest);
    }

    private byte GetId(int queue, scoped ref DeviceChain chain)
    {
        byte[] id = new byte[BlockLayout.IdBytes];
        Encoding.ASCII.GetBytes(Id, id);
        chain.Write(id);
        return Note(BlockRequestType.GetId, queue, 0, 0, 1, id.Length);
    }

    private byte Zero(int queue, BlockRequestType type, scoped ref DeviceChain chain)
    {
        Span<byte> raw = stackalloc byte[BlockRange.Size];
        chain.ReadExactly(raw);
        var range = MemoryMarshal.Read<BlockRange>(raw);
        if (type == BlockRequestType.Discard ? range.Flags != 0 : range.Flags > BlockRange.Unmap)
            return (byte)BlockStatus.Unsupported;
        Sectors.AsSpan((int)range.Sector * BlockLayout.SectorBytes, (int)range.Count * BlockLayout.SectorBytes).Clear();
        return Note(new Seen(queue, type, range.Sector, range.Count, 1, BlockRange.Size, range.Flags));
    }

    private byte Note(BlockRequestType type, int queue, ulong sector, int bytes, int segments, int longest) =>
        Records ? Note(new Seen(queue, type, sector, (uint)bytes / BlockLayout.SectorBytes, segments, longest, 0)) : (byte)0;

    private byte Note(Seen seen)
    {
        Requests.Add(seen);
        return (byte)BlockStatus.Ok;
    }

    private bool Fits(ulong sector, int bytes)
    {
        ulong end = Math.Min(_space.Capacity, (ulong)Sectors.Length / BlockLayout.SectorBytes);
        return sector <= end && (ulong)bytes / BlockLayout.SectorBytes <= end - sector;
    }

    private static void Skip(scoped ref DeviceChain chain)
    {
        while (chain.WritableLeft > 1 && chain.TryNextWritable(out Span<byte> room))
            chain.Advance((int)Math.Min(room.Length, chain.WritableLeft - 1));
    }
}

using System.Globalization;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Transports.Tracing;

/// <summary>A block device's requests in the specification's words (§5.2.6): what is in header, data and status.</summary>
internal static class BlockWords
{
    private const int MostBytes = 16;

    /// <summary>What the driver sends, a line for each buffer.</summary>
    public static IEnumerable<string> Sent(DmaBuffer[] readable, DmaBuffer[] writable)
    {
        if (readable is not [{ Length: >= BlockRequestHeader.Size } header, ..])
            yield break;
        yield return $"header {Place(header)}: {Header(header.Span)}";
        foreach (DmaBuffer data in readable[1..])
            yield return $"data {Place(data)}: {Bytes(data.Span)}";
        for (int i = 0; i < writable.Length; i++)
            yield return i < writable.Length - 1 ? $"data {Place(writable[i])}: room for what is read" : $"status {Place(writable[i])}: 0x{writable[i].Span[^1]:x2} until the device writes it";
    }

    /// <summary>What the device has written.</summary>
    public static IEnumerable<string> Answered(DmaBuffer[] writable)
    {
        for (int i = 0; i < writable.Length; i++)
            yield return i < writable.Length - 1 ? $"data {Place(writable[i])}: {Bytes(writable[i].Span)}" : $"status {Place(writable[i])}: {Status(writable[i].Span[^1])}";
    }

    /// <summary>What a chain asks for, as its device sees it. The chain is a copy: the device's stays where it is.</summary>
    public static string? Header(DeviceChain chain)
    {
        if (chain.ReadableLeft < BlockRequestHeader.Size)
            return null;
        Span<byte> header = stackalloc byte[BlockRequestHeader.Size];
        chain.ReadExactly(header);
        return $"{Header(header)}{(chain.ReadableLeft > 0 ? $", {chain.ReadableLeft} bytes of data" : "")}";
    }

    /// <summary>The status that was written, in a chain as it was before it was served.</summary>
    public static string? Status(DeviceChain chain)
    {
        string? status = null;
        while (chain.TryNextWritable(out Span<byte> room))
        {
            status = Status(room[^1]);
            chain.Advance(room.Length);
        }

        return status;
    }

    private static string Header(ReadOnlySpan<byte> bytes)
    {
        var header = MemoryMarshal.Read<BlockRequestHeader>(bytes);
        string type = header.Type switch
        {
            BlockRequestType.In => "IN",
            BlockRequestType.Out => "OUT",
            BlockRequestType.Flush => "FLUSH",
            BlockRequestType.GetId => "GET_ID",
            BlockRequestType.GetLifetime => "GET_LIFETIME",
            BlockRequestType.Discard => "DISCARD",
            BlockRequestType.WriteZeroes => "WRITE_ZEROES",
            BlockRequestType.SecureErase => "SECURE_ERASE",
            var other => $"type {(uint)other}",
        };
        return string.Create(CultureInfo.InvariantCulture, $"{type}, sector {header.Sector}");
    }

    private static string Status(byte status) => (BlockStatus)status switch
    {
        BlockStatus.Ok => "0 OK",
        BlockStatus.IoError => "1 IOERR",
        BlockStatus.Unsupported => "2 UNSUPP",
        _ => $"0x{status:x2}, which is no status",
    };

    private static string Place(DmaBuffer buffer) => string.Create(CultureInfo.InvariantCulture, $"{buffer.Address} +{buffer.Length}");

    /// <summary>The first of them, and the same as text.</summary>
    private static string Bytes(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> first = bytes[..Math.Min(bytes.Length, MostBytes)];
        Span<char> text = stackalloc char[first.Length];
        for (int i = 0; i < first.Length; i++)
            text[i] = first[i] is >= 0x20 and < 0x7f ? (char)first[i] : '.';
        string more = bytes.Length > MostBytes ? "…" : "";
        return $"{Convert.ToHexStringLower(first)}{more} '{text}{more}'";
    }
}

using System.Numerics;

namespace VirtioSharp.Backends.Nbd;

/// <summary>What an export can do (transmission flags).</summary>
[Flags]
public enum NbdFlags : ushort
{
    /// <summary>Always set.</summary>
    HasFlags = 1 << 0,
    /// <summary>Writes are refused.</summary>
    ReadOnly = 1 << 1,
    /// <summary>There is a flush.</summary>
    SendFlush = 1 << 2,
    /// <summary>A write can be stable when it is answered.</summary>
    SendFua = 1 << 3,
    /// <summary>Seeking costs.</summary>
    Rotational = 1 << 4,
    /// <summary>There is a trim.</summary>
    SendTrim = 1 << 5,
    /// <summary>Zeroes can be written without being sent.</summary>
    SendWriteZeroes = 1 << 6,
    /// <summary>A read's reply can be kept in one piece.</summary>
    SendDf = 1 << 7,
    /// <summary>A flush on one connection counts for all.</summary>
    CanMultiConn = 1 << 8,
    /// <summary>The export can be given another size (an extension).</summary>
    SendResize = 1 << 9,
    /// <summary>What will be read can be announced.</summary>
    SendCache = 1 << 10,
    /// <summary>Zeroes can be asked for that are quicker than a write, or none.</summary>
    SendFastZero = 1 << 11,
}

/// <summary>An export as its server has described it in the handshake.</summary>
/// <param name="Size">Bytes.</param>
/// <param name="Flags">What it can do.</param>
/// <param name="MinimumBlock">Offsets and lengths are multiples of it.</param>
/// <param name="PreferredBlock">The best multiple.</param>
/// <param name="MaximumPayload">Most bytes of a read or a write.</param>
/// <param name="IsStructured">Whether reads are answered in chunks.</param>
public sealed record NbdExport(ulong Size, NbdFlags Flags, uint MinimumBlock, uint PreferredBlock, uint MaximumPayload, bool IsStructured)
{
    /// <summary>Whether it has all of this.</summary>
    public bool Has(NbdFlags flags) => (Flags & flags) == flags;

    /// <summary>Most bytes that we put into one request: whole blocks, and never more than any server must take.</summary>
    internal uint MaximumPiece => Math.Min(MaximumPayload, NbdProtocol.DefaultMaxPayload) & ~(Math.Max(MinimumBlock, 512) - 1);

    /// <summary>What the server says must make sense; a length or a mask is made of it.</summary>
    /// <exception cref="NbdException">It does not.</exception>
    internal NbdExport Checked()
    {
        if (!Has(NbdFlags.HasFlags))
            throw new NbdException(NbdFailure.BrokeProtocol, $"transmission flags 0x{(ushort)Flags:x} lack NBD_FLAG_HAS_FLAGS");
        if (Size > long.MaxValue)
            throw new NbdException(NbdFailure.BrokeProtocol, $"an export of {Size} bytes cannot be");
        if (!BitOperations.IsPow2(MinimumBlock) || MinimumBlock > 1 << 16 || !BitOperations.IsPow2(PreferredBlock)
            || PreferredBlock < Math.Max(MinimumBlock, 512) || MaximumPayload < PreferredBlock)
            throw new NbdException(NbdFailure.BrokeProtocol, $"block sizes {MinimumBlock}, {PreferredBlock} and {MaximumPayload} (minimum, preferred, maximum) make no sense");
        return this;
    }
}

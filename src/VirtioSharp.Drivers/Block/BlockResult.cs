using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

/// <summary>Names a request from its submission to its result.</summary>
/// <param name="Number">Never used twice.</param>
/// <param name="Slot">Below <see cref="BlockDriver.MaxInFlight"/>, and no other request in flight has it: an index for what the caller keeps.</param>
public readonly record struct BlockToken(ulong Number, int Slot);

/// <summary>How a request ended.</summary>
public enum BlockOutcome : byte
{
    /// <summary>As asked for.</summary>
    Done,
    /// <summary>IOERR: an error of the device, or the request was wrong.</summary>
    IoError,
    /// <summary>UNSUPP: the device does not know such requests.</summary>
    Unsupported,
    /// <summary>The device used the request without writing a status.</summary>
    NoStatus,
    /// <summary>The status is none of the specification's.</summary>
    UnknownStatus,
    /// <summary>The status is OK, but the device says it wrote less than was to be read.</summary>
    TooShort,
    /// <summary>The device was reset before it answered: it may have done it or not, in whole or in part.</summary>
    Lost,
}

/// <summary>What became of a request.</summary>
/// <param name="Token">Which.</param>
/// <param name="Type">What it asked for.</param>
/// <param name="Sector">Where.</param>
/// <param name="Sectors">How much.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Status">What the device wrote; 0xFF is what the driver had put there.</param>
public readonly record struct BlockResult(
    BlockToken Token, BlockRequestType Type, ulong Sector, ulong Sectors, BlockOutcome Outcome, BlockStatus Status)
{
    /// <summary>No value of the specification: a status that still reads this was never written.</summary>
    internal const BlockStatus Untouched = (BlockStatus)0xFF;

    /// <summary>Whether it succeeded.</summary>
    public bool IsDone => Outcome == BlockOutcome.Done;

    /// <summary>Does nothing if it succeeded.</summary>
    /// <exception cref="BlockException">It did not.</exception>
    public void ThrowIfFailed()
    {
        if (!IsDone)
            throw new BlockException(this);
    }

    /// <summary><c>In, 8 sectors at 16: IoError (status 1)</c>.</summary>
    public override string ToString() =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Type}, {Sectors} sectors at {Sector}: {Outcome} (status {(byte)Status})");
}

/// <summary>A request failed; the device goes on.</summary>
/// <param name="result">Which, and how.</param>
public sealed class BlockException(BlockResult result) : IOException($"the request failed: {result}")
{
    /// <summary>Which, and how.</summary>
    public BlockResult Result { get; } = result;
}

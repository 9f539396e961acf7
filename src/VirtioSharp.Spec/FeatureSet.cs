using System.Collections;
using System.Globalization;

namespace VirtioSharp.Spec;

/// <summary>A set of feature bits 0–127 (§2.2). Net already uses bits 65–70, so 64 are not enough.</summary>
/// <param name="low">Bits 0–63.</param>
/// <param name="high">Bits 64–127.</param>
public readonly struct FeatureSet(ulong low, ulong high = 0) : IEquatable<FeatureSet>, IEnumerable<int>
{
    /// <summary>How many bits a set can hold.</summary>
    public const int BitCount = 128;

    /// <summary>Bits 0–63.</summary>
    public ulong Low { get; } = low;

    /// <summary>Bits 64–127.</summary>
    public ulong High { get; } = high;

    /// <summary>True when no bit is set.</summary>
    public bool IsEmpty => (Low | High) == 0;

    /// <summary>The set that holds only <paramref name="bit"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The bit is not in 0–127.</exception>
    public static FeatureSet Bit(int bit)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bit);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(bit, BitCount);
        return bit < 64 ? new(1UL << bit) : new(0, 1UL << (bit - 64));
    }

    /// <summary>Whether every bit of <paramref name="features"/> is in this set.</summary>
    public bool Has(FeatureSet features) => (features - this).IsEmpty;

    /// <summary>The 32 bits that a transport shows when its feature-select register holds <paramref name="select"/>.</summary>
    /// <returns>Bits 32·select … 32·select+31; 0 beyond the set, as §4.1.4.3.1 asks.</returns>
    public uint Word(uint select) => select switch
    {
        0 => (uint)Low,
        1 => (uint)(Low >> 32),
        2 => (uint)High,
        3 => (uint)(High >> 32),
        _ => 0,
    };

    /// <summary>This set with one 32-bit word replaced; a select beyond the set changes nothing.</summary>
    public FeatureSet WithWord(uint select, uint value) => select switch
    {
        0 => new(Low & 0xFFFF_FFFF_0000_0000 | value, High),
        1 => new(Low & 0xFFFF_FFFF | (ulong)value << 32, High),
        2 => new(Low, High & 0xFFFF_FFFF_0000_0000 | value),
        3 => new(Low, High & 0xFFFF_FFFF | (ulong)value << 32),
        _ => this,
    };

    /// <summary>Bits in either set.</summary>
    public static FeatureSet operator |(FeatureSet a, FeatureSet b) => new(a.Low | b.Low, a.High | b.High);

    /// <summary>Bits in both sets.</summary>
    public static FeatureSet operator &(FeatureSet a, FeatureSet b) => new(a.Low & b.Low, a.High & b.High);

    /// <summary>Bits of <paramref name="a"/> that are not in <paramref name="b"/>.</summary>
    public static FeatureSet operator -(FeatureSet a, FeatureSet b) => new(a.Low & ~b.Low, a.High & ~b.High);

    /// <summary>Whether both sets hold the same bits.</summary>
    public static bool operator ==(FeatureSet a, FeatureSet b) => a.Equals(b);

    /// <summary>Whether the sets differ.</summary>
    public static bool operator !=(FeatureSet a, FeatureSet b) => !a.Equals(b);

    /// <inheritdoc cref="op_BitwiseOr"/>
    public static FeatureSet BitwiseOr(FeatureSet left, FeatureSet right) => left | right;

    /// <inheritdoc cref="op_BitwiseAnd"/>
    public static FeatureSet BitwiseAnd(FeatureSet left, FeatureSet right) => left & right;

    /// <inheritdoc cref="op_Subtraction"/>
    public static FeatureSet Subtract(FeatureSet left, FeatureSet right) => left - right;

    /// <inheritdoc/>
    public bool Equals(FeatureSet other) => Low == other.Low && High == other.High;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is FeatureSet other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Low, High);

    /// <summary>The bits that are set, ascending.</summary>
    public IEnumerator<int> GetEnumerator()
    {
        for (int bit = 0; bit < BitCount; bit++)
            if (Has(Bit(bit)))
                yield return bit;
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Names where the bit has one for every device, numbers otherwise: <c>INDIRECT_DESC(28) 5</c>.</summary>
    public override string ToString() =>
        IsEmpty ? "none" : string.Join(' ', this.Select(bit => Features.NameOf(bit) is { } name
            ? string.Create(CultureInfo.InvariantCulture, $"{name}({bit})")
            : bit.ToString(CultureInfo.InvariantCulture)));
}

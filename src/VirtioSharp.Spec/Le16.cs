namespace VirtioSharp.Spec;

/// <summary>A 16-bit little-endian number as it lies in shared memory (§1.4): no arithmetic before it is converted.</summary>
public readonly struct Le16 : IEquatable<Le16>
{
    private readonly ushort _raw;

    private Le16(ushort value) => _raw = Swap(value);

    private static ushort Swap(ushort value) =>
        BitConverter.IsLittleEndian ? value : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(value);

    /// <summary>The value in the processor's own order.</summary>
    public static implicit operator ushort(Le16 value) => Swap(value._raw);

    /// <summary>The wire form of <paramref name="value"/>.</summary>
    public static implicit operator Le16(ushort value) => new(value);

    /// <summary>The value in the processor's own order.</summary>
    public ushort ToUInt16() => this;

    /// <summary>The wire form of <paramref name="value"/>.</summary>
    public static Le16 FromUInt16(ushort value) => new(value);

    /// <summary>Whether both hold the same value.</summary>
    public static bool operator ==(Le16 left, Le16 right) => left._raw == right._raw;

    /// <summary>Whether the values differ.</summary>
    public static bool operator !=(Le16 left, Le16 right) => left._raw != right._raw;

    /// <inheritdoc/>
    public bool Equals(Le16 other) => _raw == other._raw;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Le16 other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _raw.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => ((ushort)this).ToString(System.Globalization.CultureInfo.InvariantCulture);
}

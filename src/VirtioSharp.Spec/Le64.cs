namespace VirtioSharp.Spec;

/// <summary>A 64-bit little-endian number as it lies in shared memory (§1.4): no arithmetic before it is converted.</summary>
public readonly struct Le64 : IEquatable<Le64>
{
    private readonly ulong _raw;

    private Le64(ulong value) => _raw = Swap(value);

    private static ulong Swap(ulong value) =>
        BitConverter.IsLittleEndian ? value : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(value);

    /// <summary>The value in the processor's own order.</summary>
    public static implicit operator ulong(Le64 value) => Swap(value._raw);

    /// <summary>The wire form of <paramref name="value"/>.</summary>
    public static implicit operator Le64(ulong value) => new(value);

    /// <summary>The value in the processor's own order.</summary>
    public ulong ToUInt64() => this;

    /// <summary>The wire form of <paramref name="value"/>.</summary>
    public static Le64 FromUInt64(ulong value) => new(value);

    /// <summary>Whether both hold the same value.</summary>
    public static bool operator ==(Le64 left, Le64 right) => left._raw == right._raw;

    /// <summary>Whether the values differ.</summary>
    public static bool operator !=(Le64 left, Le64 right) => left._raw != right._raw;

    /// <inheritdoc/>
    public bool Equals(Le64 other) => _raw == other._raw;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Le64 other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _raw.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => ((ulong)this).ToString(System.Globalization.CultureInfo.InvariantCulture);
}

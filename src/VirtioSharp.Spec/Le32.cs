namespace VirtioSharp.Spec;

/// <summary>A 32-bit little-endian number as it lies in shared memory (§1.4): no arithmetic before it is converted.</summary>
public readonly struct Le32 : IEquatable<Le32>
{
    private readonly uint _raw;

    private Le32(uint value) => _raw = Swap(value);

    private static uint Swap(uint value) =>
        BitConverter.IsLittleEndian ? value : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(value);

    /// <summary>The value in the processor's own order.</summary>
    public static implicit operator uint(Le32 value) => Swap(value._raw);

    /// <summary>The wire form of <paramref name="value"/>.</summary>
    public static implicit operator Le32(uint value) => new(value);

    /// <summary>The value in the processor's own order.</summary>
    public uint ToUInt32() => this;

    /// <summary>The wire form of <paramref name="value"/>.</summary>
    public static Le32 FromUInt32(uint value) => new(value);

    /// <summary>Whether both hold the same value.</summary>
    public static bool operator ==(Le32 left, Le32 right) => left._raw == right._raw;

    /// <summary>Whether the values differ.</summary>
    public static bool operator !=(Le32 left, Le32 right) => left._raw != right._raw;

    /// <inheritdoc/>
    public bool Equals(Le32 other) => _raw == other._raw;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Le32 other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _raw.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => ((uint)this).ToString(System.Globalization.CultureInfo.InvariantCulture);
}

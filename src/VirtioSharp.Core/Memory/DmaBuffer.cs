namespace VirtioSharp.Core.Memory;

/// <summary>A piece of a <see cref="DmaArena"/>: the same bytes under the device's address and as a span here.</summary>
public readonly unsafe struct DmaBuffer : IEquatable<DmaBuffer>
{
    private readonly nint _host;

    internal DmaBuffer(GuestAddress address, nint host, int length) => (Address, _host, Length) = (address, host, length);

    /// <summary>Where the device finds it.</summary>
    public GuestAddress Address { get; }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The bytes. The device may change a writable buffer at any time before it is used: copy, then check the copy.</summary>
    public Span<byte> Span => new((void*)_host, Length);

    internal byte* Host => (byte*)_host;

    /// <summary>The part of it that starts at <paramref name="start"/>.</summary>
    public DmaBuffer Slice(int start, int length)
    {
        if ((uint)start > (uint)Length || (uint)length > (uint)(Length - start))
            throw new ArgumentOutOfRangeException(nameof(length), $"{start}+{length} is beyond a buffer of {Length} bytes");
        return new(Address.Plus((ulong)start), _host + start, length);
    }

    /// <summary>Whether both are the same bytes.</summary>
    public static bool operator ==(DmaBuffer left, DmaBuffer right) => left.Equals(right);

    /// <summary>Whether they differ.</summary>
    public static bool operator !=(DmaBuffer left, DmaBuffer right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(DmaBuffer other) => _host == other._host && Length == other.Length;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is DmaBuffer other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_host, Length);
}

using System.Globalization;

namespace VirtioSharp.Core.Memory;

/// <summary>An address as the driver gives it to the device. Never a pointer: only <see cref="GuestMemory"/> makes one of it.</summary>
/// <param name="Value">Byte address in the device's view of memory (guest-physical, without an IOMMU).</param>
public readonly record struct GuestAddress(ulong Value)
{
    /// <summary>The address <paramref name="bytes"/> further on.</summary>
    /// <exception cref="OverflowException">The sum does not fit in 64 bits.</exception>
    public GuestAddress Plus(ulong bytes) => new(checked(Value + bytes));

    /// <summary>Whether the address is a multiple of <paramref name="alignment"/> (a power of two).</summary>
    public bool IsAligned(int alignment) => (Value & (ulong)(alignment - 1)) == 0;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x}");
}

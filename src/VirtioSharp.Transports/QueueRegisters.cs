using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Transports;

/// <summary>What a driver has written about one queue, as it wrote it: nothing is checked before the queue is enabled.</summary>
internal struct QueueRegisters(uint size)
{
    public uint Size = size;
    public ulong DescriptorArea;
    public ulong DriverArea;
    public ulong DeviceArea;

    /// <summary>Whether the driver has enabled it. Stays so when NEEDS_RESET has stopped the device: a register reads what was written.</summary>
    public bool IsReady;

    /// <summary>All of it, for the host to check.</summary>
    public readonly QueueLayout Layout => new(
        (int)Math.Min(Size, int.MaxValue), new GuestAddress(DescriptorArea), new GuestAddress(DriverArea), new GuestAddress(DeviceArea));

    /// <summary>An address with one half replaced: they come as two 32-bit writes.</summary>
    public static void SetHalf(ref ulong address, bool high, uint value) =>
        address = high ? address & uint.MaxValue | (ulong)value << 32 : address & 0xFFFF_FFFF_0000_0000 | value;
}

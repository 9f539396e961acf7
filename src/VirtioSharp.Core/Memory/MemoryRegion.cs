namespace VirtioSharp.Core.Memory;

/// <summary>A run of guest memory that lies contiguously in this process.</summary>
/// <param name="Start">Guest address of its first byte.</param>
/// <param name="Length">Bytes, at least 1.</param>
/// <param name="Host">Where the first byte is mapped here. Whoever made the region keeps the mapping alive while any map with it is in use.</param>
public readonly record struct MemoryRegion(GuestAddress Start, ulong Length, nint Host);

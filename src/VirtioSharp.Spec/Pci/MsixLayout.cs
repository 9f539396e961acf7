namespace VirtioSharp.Spec.Pci;

/// <summary>The MSI-X capability, its table and its pending bits (PCI 3.0 §6.8.2).</summary>
/// <remarks>
/// <code>
/// capability   id:8 next:8 control:16   table: offset:29 bar:3   pending: offset:29 bar:3
/// table entry  address:64 data:32 control:32 (bit 0: masked)
/// </code>
/// </remarks>
public static class MsixLayout
{
    /// <summary>Bytes of the capability.</summary>
    public const int CapabilityBytes = 12;
    /// <summary>In the capability: 16 bits. Bits 0–10 the table's size − 1, bit 14 masks all, bit 15 enables.</summary>
    public const int ControlOffset = 2;
    /// <summary>In the capability: 32 bits. Bits 0–2 the BAR, the others the offset.</summary>
    public const int TableOffset = 4;
    /// <summary>In the capability: as for the table.</summary>
    public const int PendingOffset = 8;
    /// <summary>In the control word.</summary>
    public const ushort Enable = 1 << 15;
    /// <summary>In the control word.</summary>
    public const ushort FunctionMask = 1 << 14;
    /// <summary>In the control word: the size of the table, minus one.</summary>
    public const ushort SizeMask = 0x7FF;
    /// <summary>In the two location words: which BAR.</summary>
    public const uint BarMask = 7;
    /// <summary>Bytes of a table entry.</summary>
    public const int EntryBytes = 16;
    /// <summary>In an entry: the low half of the address.</summary>
    public const int EntryAddress = 0;
    /// <summary>In an entry: the message.</summary>
    public const int EntryData = 8;
    /// <summary>In an entry: the vector's control.</summary>
    public const int EntryControl = 12;
    /// <summary>In an entry's control: no message is sent, the pending bit is set.</summary>
    public const uint EntryMasked = 1;
    /// <summary>The most vectors.</summary>
    public const int MaxVectors = 2048;
}

using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>The MSI-X vectors of a function: the table and the pending bits as registers, and the way out (PCI 3.0 §6.8.2).</summary>
/// <remarks>
/// A vector is raised from any thread, without a lock, and is never lost: what cannot be sent now (masked, MSI-X disabled, no
/// bus master) is pending, and is sent once when it can. Registers are 32 bits wide; other accesses read 0 and write nothing.
/// <code>
///  raise:  cannot be sent ─► set pending ─► fence ─► look again ─► take the pending bit ─► send
///  unmask: clear the mask ─► fence ─► look for pending ──────────► take the pending bit ─► send
/// </code>
/// One of the two sees the other, and only one takes the bit.
/// </remarks>
public sealed class MsixTable : IRegisterWindow
{
    /// <summary>The least offset of the pending bits.</summary>
    private const int MinPendingOffset = 0x800;

    private const int Enabled = 1, FunctionMasked = 2, BusMaster = 4;

    private readonly uint[] _table;
    private readonly uint[] _pending;
    private readonly Action<int, PciMessage> _send;
    private int _state;

    /// <summary>Makes a table with every vector masked.</summary>
    /// <param name="count">1–2048 vectors.</param>
    /// <param name="send">Takes the messages; from any thread.</param>
    internal MsixTable(int count, Action<int, PciMessage> send)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MsixLayout.MaxVectors);
        (Count, _send) = (count, send);
        _table = new uint[4 * count];
        _pending = new uint[(count + 63) / 64 * 2]; // in units of 64 bits, as the specification counts them
        PendingOffset = Math.Max(MinPendingOffset, MsixLayout.EntryBytes * count);
        Length = (ulong)(PendingOffset + 4 * _pending.Length);
        PowerOn();
    }

    /// <summary>How many vectors there are.</summary>
    public int Count { get; }

    /// <summary>Where in the window the pending bits start; the table is at 0.</summary>
    public int PendingOffset { get; }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <summary>Whether the driver has enabled MSI-X. The INTx line is not used then.</summary>
    public bool IsEnabled => (Volatile.Read(ref _state) & Enabled) != 0;

    /// <summary>Whether a vector waits to be sent.</summary>
    public bool IsPending(int vector) => (Volatile.Read(ref _pending[vector >> 5]) & Bit(vector)) != 0;

    /// <summary>Sends a vector's message, or keeps it pending. From any thread. A vector that does not exist is ignored.</summary>
    public void Raise(int vector)
    {
        if ((uint)vector >= (uint)Count)
            return;
        if (CanSend(vector))
        {
            Send(vector);
            return;
        }

        Interlocked.Or(ref _pending[vector >> 5], Bit(vector)); // a full fence: a mask that goes away from here on sees the bit
        SendPending(vector);
    }

    /// <inheritdoc/>
    public uint Read(ulong offset, int width)
    {
        if (width != 4 || (offset & 3) != 0)
            return 0;
        if (offset < (ulong)MsixLayout.EntryBytes * (ulong)Count)
            return _table[offset >> 2];
        ulong word = (offset - (ulong)PendingOffset) >> 2;
        return offset >= (ulong)PendingOffset && word < (ulong)_pending.Length ? Volatile.Read(ref _pending[word]) : 0;
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, uint value)
    {
        if (width != 4 || (offset & 3) != 0 || offset >= (ulong)MsixLayout.EntryBytes * (ulong)Count)
            return;
        int vector = (int)(offset / MsixLayout.EntryBytes);
        switch ((int)(offset % MsixLayout.EntryBytes))
        {
            case MsixLayout.EntryAddress:
                _table[offset >> 2] = value & ~3u; // messages are aligned
                break;
            case MsixLayout.EntryControl:
                Volatile.Write(ref _table[offset >> 2], value & MsixLayout.EntryMasked);
                Interlocked.MemoryBarrier();
                SendPending(vector);
                break;
            default:
                _table[offset >> 2] = value;
                break;
        }
    }

    /// <summary>The driver wrote the control word or the command register.</summary>
    internal void SetState(bool isEnabled, bool isMasked, bool isBusMaster)
    {
        Volatile.Write(ref _state, (isEnabled ? Enabled : 0) | (isMasked ? FunctionMasked : 0) | (isBusMaster ? BusMaster : 0));
        Interlocked.MemoryBarrier();
        for (int word = 0; word < _pending.Length; word++)
        {
            for (uint left = Volatile.Read(ref _pending[word]); left != 0; left &= left - 1)
                SendPending(32 * word + System.Numerics.BitOperations.TrailingZeroCount(left));
        }
    }

    /// <summary>Forgets what was to be sent: the device was reset.</summary>
    internal void ClearPending()
    {
        for (int word = 0; word < _pending.Length; word++)
            Volatile.Write(ref _pending[word], 0);
    }

    /// <summary>Every vector is masked, nothing is pending, MSI-X is disabled.</summary>
    internal void PowerOn()
    {
        Volatile.Write(ref _state, 0);
        Array.Clear(_table);
        for (int vector = 0; vector < Count; vector++)
            _table[4 * vector + MsixLayout.EntryControl / 4] = MsixLayout.EntryMasked;
        ClearPending();
    }

    private static uint Bit(int vector) => 1u << (vector & 31);

    private bool CanSend(int vector) =>
        Volatile.Read(ref _state) == (Enabled | BusMaster)
        && (Volatile.Read(ref _table[4 * vector + MsixLayout.EntryControl / 4]) & MsixLayout.EntryMasked) == 0;

    private void SendPending(int vector)
    {
        if (!IsPending(vector) || !CanSend(vector))
            return;
        uint before = Interlocked.And(ref _pending[vector >> 5], ~Bit(vector));
        if ((before & Bit(vector)) != 0)
            Send(vector);
    }

    private void Send(int vector)
    {
        int entry = 4 * vector;
        _send(vector, new PciMessage(_table[entry] | (ulong)_table[entry + 1] << 32, _table[entry + MsixLayout.EntryData / 4]));
    }
}

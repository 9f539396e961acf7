using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>A PCI host in this process, into which functions in software are plugged, also while it runs.</summary>
/// <remarks>
/// Everything happens on the driver's thread: an access to a register is a call into the device, and the device's own work (its
/// alarm, completions) is done while the driver waits for an interrupt. Only interrupts may come from other threads.
/// </remarks>
public sealed class SoftwarePciHost : IPciHost
{
    /// <summary>Where MSI-X messages are written to: 4 KiB for each place on the bus.</summary>
    internal const ulong MessageStart = 0xFEE0_0000;

    internal const ulong MessageBytesPerSlot = 0x1000;

    /// <summary>Not 0, beyond 32 bits, and nothing like a pointer: who mixes them up fails at once.</summary>
    private static readonly GuestAddress ArenaStart = new(0x1_0000_0000);

    private readonly Dictionary<PciAddress, PciSlot> _slots = [];
    private readonly MemoryMap _memory;
    private readonly PciAddressMap _io = new(isIo: true), _bars = new(isIo: false);
    private readonly AutoResetEvent _wake = new(initialState: false);
    private readonly int _messages;
    private PciSlot[] _byIndex = []; // read by interrupting threads: replaced, never changed
    private int _isSleeping;

    /// <summary>Makes a host with an empty bus.</summary>
    /// <param name="arenaBytes">Memory for drivers' rings and buffers.</param>
    /// <param name="messages">How many MSI-X messages each function's driver can tell apart.</param>
    /// <param name="time">The clock that waiting goes by.</param>
    public SoftwarePciHost(int arenaBytes = 4 << 20, int messages = 64, TimeProvider? time = null)
    {
        (_messages, Time) = (messages, time ?? TimeProvider.System);
        Dma = DmaArena.CreateLocal(ArenaStart, arenaBytes);
        _memory = MemoryMap.Create([Dma.Region]);
    }

    /// <inheritdoc/>
    public DmaArena Dma { get; }

    /// <inheritdoc/>
    public TimeProvider Time { get; }

    /// <inheritdoc/>
    public PciAperture IoAperture { get; } = new(0xC000, 0x3000);

    /// <inheritdoc/>
    public PciAperture MemoryAperture { get; } = new(0xC000_0000, 0x2000_0000);

    /// <summary>Plugs a function in.</summary>
    /// <exception cref="InvalidOperationException">The place is taken, or the function is plugged in elsewhere.</exception>
    public void Plug(PciAddress address, SoftwarePciFunction function)
    {
        Slot(address).Plug(function, _memory);
        DecodingChanged();
    }

    /// <summary>Pulls a function out, as it is: its driver reads all ones from then on. Nothing happens where there is none.</summary>
    public void Unplug(PciAddress address)
    {
        Slot(address).Unplug();
        DecodingChanged();
    }

    /// <inheritdoc/>
    public uint ReadConfiguration(PciAddress address, int offset, int width)
    {
        if (!_slots.TryGetValue(address, out PciSlot? slot) || slot.Function is not { } function)
            return RegisterAccess.AllOnes(width);
        uint value = function.ReadConfiguration(offset, width);
        int header = PciConfigurationRegister.HeaderType - offset;
        if (header >= 0 && header < width && HasSiblings(address))
            value |= (uint)PciConfigurationRegister.MultiFunction << (8 * header);
        return value;
    }

    /// <inheritdoc/>
    public void WriteConfiguration(PciAddress address, int offset, int width, uint value)
    {
        if (_slots.TryGetValue(address, out PciSlot? slot))
            slot.Function?.WriteConfiguration(offset, width, value);
    }

    /// <inheritdoc/>
    public IRegisterWindow OpenIo(ulong address, ulong length) => new PciSpaceWindow(_io, address, length);

    /// <inheritdoc/>
    public IRegisterWindow OpenMemory(ulong address, ulong length) => new PciSpaceWindow(_bars, address, length);

    /// <inheritdoc/>
    public IPciInterrupts OpenInterrupts(PciAddress address) => Slot(address);

    /// <summary>Unplugs everything and frees the memory.</summary>
    public void Dispose()
    {
        foreach (PciSlot slot in _byIndex)
            slot.Unplug();
        Dma.Dispose();
        _wake.Dispose();
    }

    internal void DecodingChanged()
    {
        _io.Invalidate(_byIndex);
        _bars.Invalidate(_byIndex);
    }

    /// <summary>A function writes 32 bits to an address: a message to a slot, or into memory, which some drivers poll. From any thread.</summary>
    internal void Deliver(PciMessage message)
    {
        PciSlot[] slots = Volatile.Read(ref _byIndex);
        ulong slot = (message.Address - MessageStart) / MessageBytesPerSlot;
        if (message.Address >= MessageStart && slot < (ulong)slots.Length)
        {
            slots[slot].Receive(message.Data);
            return;
        }

        ulong offset = message.Address - Dma.Region.Start.Value;
        if (offset <= Dma.Region.Length - sizeof(uint))
            Marshal.WriteInt32(Dma.Region.Host + (nint)offset, (int)message.Data);
    }

    internal void WakeSleeper()
    {
        if (Volatile.Read(ref _isSleeping) != 0)
            _wake.Set();
    }

    /// <summary>Does the functions' work until something arrives at <paramref name="slot"/> or nothing can any more.</summary>
    internal bool Wait(PciSlot slot, TimeSpan timeout)
    {
        while (true)
        {
            SoftwarePciFunction? next = WorkThatIsDue(out TimeSpan delay, out bool isOutside);
            if (slot.TakeArrival())
                return true;
            if (next is null || delay > timeout)
            {
                if (!isOutside || timeout <= TimeSpan.Zero)
                    return false; // nobody else runs here
                (next, delay) = (null, timeout);
            }

            long start = Time.GetTimestamp();
            if (delay > TimeSpan.Zero && Sleep(slot, delay, isOutside))
            {
                timeout -= Time.GetElapsedTime(start);
                continue;
            }

            timeout -= delay;
            next?.Work();
        }
    }

    private bool HasSiblings(PciAddress address)
    {
        for (byte function = 0; function < 8; function++)
        {
            if (function != address.Function && _slots.TryGetValue(address with { Function = function }, out PciSlot? slot) && slot.Function is not null)
                return true;
        }

        return false;
    }

    private PciSlot Slot(PciAddress address)
    {
        if (!_slots.TryGetValue(address, out PciSlot? slot))
        {
            _slots[address] = slot = new PciSlot(this, _byIndex.Length, _messages);
            Volatile.Write(ref _byIndex, [.. _byIndex, slot]);
        }

        return slot;
    }

    private SoftwarePciFunction? WorkThatIsDue(out TimeSpan delay, out bool isOutside)
    {
        SoftwarePciFunction? next = null;
        (delay, isOutside) = (TimeSpan.MaxValue, false);
        foreach (PciSlot slot in _byIndex)
        {
            if (slot.Function is not { } function)
                continue;
            isOutside |= function.IsInterruptedFromOutside;
            if (function.UntilWork is { } until && until <= TimeSpan.Zero)
                function.Work();
            if (function.UntilWork is { } later && later < delay)
                (next, delay) = (function, later);
        }

        return next;
    }

    /// <returns>True when it was woken.</returns>
    private bool Sleep(PciSlot slot, TimeSpan delay, bool isOutside)
    {
        int milliseconds = (int)Math.Min(Math.Ceiling(delay.TotalMilliseconds), int.MaxValue); // cut down, the device would be woken too early
        if (!isOutside)
        {
            Thread.Sleep(milliseconds);
            return false;
        }

        Interlocked.Exchange(ref _isSleeping, 1); // a full fence: what arrives after this sees it
        bool isWoken = slot.HasArrived || _wake.WaitOne(milliseconds);
        Volatile.Write(ref _isSleeping, 0);
        return isWoken;
    }
}

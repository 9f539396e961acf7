using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>
/// The broken control of the litmus: two counters and two suppression flags, handled as a ring handles them but for the
/// full fence between "store my own" and "load the other's". Each line has 64 bytes to itself.
/// </summary>
/// <remarks>A processor may let the load overtake the store, x86 too: both ends then miss each other.</remarks>
internal unsafe struct UnfencedDriver : IDriverRing<UnfencedDriver>
{
    private readonly bool _fenced;
    private ushort _added;
    private ushort _taken;

    private UnfencedDriver(DmaArena arena, QueueOptions options)
    {
        DmaBuffer lines = arena.Allocate(4 * 64, 64);
        Layout = new QueueLayout(1, lines.Address, new(0), new(0));
        _fenced = options.EventIdx;
        Host = lines.Host;
    }

    private byte* Host { get; }

    public QueueLayout Layout { get; }

    public readonly int Free => 1 - (ushort)(_added - _taken);

    public readonly ushort NotificationPosition => _added;

    /// <summary>With EVENT_IDX it has its fences and is right; without, it is broken.</summary>
    public static UnfencedDriver Create(int size, DmaArena arena, QueueOptions options) => new(arena, options);

    public bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        id = 0;
        if (Free == 0)
            return false;
        _added++;
        return true;
    }

    public readonly bool Publish() => Unfenced.Publish(Host, Unfenced.Available, _added, Unfenced.NoNotify, _fenced);

    public bool TryGet(out ushort id, out uint length)
    {
        (id, length) = (0, 0);
        if (Volatile.Read(ref Unfenced.At(Host, Unfenced.Used)) == _taken)
            return false;
        _taken++;
        return true;
    }

    public readonly void SuppressInterrupts() => Volatile.Write(ref Unfenced.At(Host, Unfenced.NoInterrupt), 1);

    public readonly bool RearmInterrupts() => Unfenced.Rearm(Host, Unfenced.NoInterrupt, Unfenced.Used, _taken, _fenced);

    public readonly QueueSnapshot ResumeAt(bool isTracked) => throw new NotSupportedException();
}

internal unsafe struct UnfencedDevice : IDeviceRing<UnfencedDevice>
{
    private readonly byte* _host;
    private readonly bool _fenced;
    private ushort _popped;
    private ushort _pushed;

    private UnfencedDevice(byte* host, bool fenced)
    {
        _host = host;
        _fenced = fenced;
    }

    public readonly QueueSnapshot Snapshot => default;

    public static UsedEntries Entries => default;

    public readonly int UsedPosition => 0;

    public readonly int Owed => 0;

    public static UnfencedDevice Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at) =>
        memory.TryTranslate(layout.DescriptorArea.Value, 4 * 64, out byte* host) ? new(host, options.EventIdx) : throw new InvalidOperationException();

    public readonly bool HasAvailable() => Volatile.Read(ref Unfenced.At(_host, Unfenced.Available)) != _popped;

    public bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        chain = default;
        if (!HasAvailable())
            return false;
        _popped++;
        return true;
    }

    public void UndoPop(RingChain chain) => _popped--;

    public void Push(RingChain chain, uint written) => _pushed++;

    public readonly bool Publish() => Unfenced.Publish(_host, Unfenced.Used, _pushed, Unfenced.NoInterrupt, _fenced);

    public readonly void SuppressNotifications() => Volatile.Write(ref Unfenced.At(_host, Unfenced.NoNotify), 1);

    public readonly bool RearmNotifications() => Unfenced.Rearm(_host, Unfenced.NoNotify, Unfenced.Available, _popped, _fenced);
}

/// <summary>What both ends of the control do.</summary>
internal static unsafe class Unfenced
{
    public const int Available = 0, Used = 64, NoNotify = 128, NoInterrupt = 192;

    public static ref ushort At(byte* host, int offset) => ref *(ushort*)(host + offset);

    public static bool Publish(byte* host, int index, ushort value, int suppressed, bool fenced)
    {
        Volatile.Write(ref At(host, index), value);
        if (fenced)
            Interlocked.MemoryBarrier();
        return Volatile.Read(ref At(host, suppressed)) == 0;
    }

    public static bool Rearm(byte* host, int suppressed, int index, ushort seen, bool fenced)
    {
        Volatile.Write(ref At(host, suppressed), 0);
        if (fenced)
            Interlocked.MemoryBarrier();
        return Volatile.Read(ref At(host, index)) != seen;
    }
}

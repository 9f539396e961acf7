using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues;

/// <summary>A ring whose device notes what it writes: its queue the buffers, this the ring.</summary>
/// <remarks>Everything is noted after it was written: whoever copies a page between the two comes again.</remarks>
internal unsafe struct LoggedRing<TRing> : IDeviceRing<LoggedRing<TRing>>
    where TRing : struct, IDeviceRing<TRing>
{
    private readonly DirtyLog _log;
    private readonly GuestAddress? _deviceArea;
    private readonly byte* _descriptors;
    private readonly QueueLayout _layout;
    private readonly Iotlb? _iotlb; // behind it, the driver's addresses say nothing of guest memory
    private readonly int _size;
#pragma warning disable IDE0044 // TRing is a mutable struct: readonly would call it on copies
    private TRing _ring;
#pragma warning restore IDE0044
    private int _notedTo;
    private int _pushed;

    private LoggedRing(TRing ring, in QueueLayout layout, ref GuestMemory memory, QueueOptions options)
    {
        (_ring, _log, _deviceArea, _size, _notedTo) = (ring, options.Log!, options.RingLog, layout.Size, ring.UsedPosition);
        if (TRing.Entries.AreInDescriptorArea)
            memory.TranslatePiece(layout.DescriptorArea.Value, 1, MemoryAccess.Write, out _descriptors); // all of it was found before
        (_layout, _iotlb) = (layout, memory.Iotlb);

        // A device that died may have written any of it without a note.
        NoteEntries(0, _size);
        NoteDeviceArea(0, 4);
    }

    public static bool IsLogged => true;

    public static UsedEntries Entries => TRing.Entries;

    public static LoggedRing<TRing> Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at) =>
        new(TRing.Attach(layout, ref memory, options, at), layout, ref memory, options);

    public QueueSnapshot Snapshot => _ring.Snapshot;

    public int UsedPosition => _ring.UsedPosition;

    public int Owed => _ring.Owed;

    public bool HasAvailable() => _ring.HasAvailable();

    public bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain) => _ring.TryPop(ref memory, ref segments, out chain);

    public void UndoPop(RingChain chain) => _ring.UndoPop(chain);

    public void Push(RingChain chain, uint written)
    {
        _ring.Push(chain, written);
        _pushed++;
    }

    public bool Publish()
    {
        bool notify = _ring.Publish();
        if (_pushed > 0)
        {
            int to = _ring.UsedPosition;
            if (to > _notedTo)
            {
                NoteEntries(_notedTo, to);
            }
            else
            {
                NoteEntries(_notedTo, _size);
                NoteEntries(0, to);
            }

            NoteDeviceArea(0, 4); // a split ring's index
            (_notedTo, _pushed) = (to, 0);
        }

        _log.EndBatch();
        return notify;
    }

    public void SuppressNotifications()
    {
        _ring.SuppressNotifications();
        NoteDeviceArea(0, 4); // flags
    }

    public bool RearmNotifications()
    {
        bool more = _ring.RearmNotifications();
        NoteDeviceArea(0, 4);
        if (!TRing.Entries.AreInDescriptorArea)
            NoteDeviceArea(SplitLayout.AvailEventOffset(_size), 2);
        _log.EndBatch();
        return more;
    }

    private void NoteEntries(int from, int to)
    {
        UsedEntries entries = TRing.Entries;
        int offset = entries.Offset + from * entries.Bytes, bytes = (to - from) * entries.Bytes;
        if (_deviceArea is null)
            return;
        if (entries.AreInDescriptorArea)
            Note(_layout.DescriptorArea, _descriptors, offset, bytes);
        else
            NoteDeviceArea(offset, bytes);
    }

    private void NoteDeviceArea(int offset, int bytes)
    {
        if (_deviceArea is not { } start)
            return;
        if (_iotlb is not null)
            Note(_layout.DeviceArea, null, offset, bytes);
        else
            _log.MarkGuest(start.Value + (ulong)offset, (ulong)bytes);
    }

    /// <summary>Notes a part of an area by where it lies here: behind an IOMMU, perhaps in pieces.</summary>
    private void Note(GuestAddress start, byte* host, int offset, int bytes)
    {
        if (_iotlb is null)
        {
            _log.Mark(host + offset, (ulong)bytes);
            return;
        }

        for (uint piece; bytes > 0 && (piece = _iotlb.TranslatePiece(start.Value + (uint)offset, (uint)bytes, MemoryAccess.Write, out host)) > 0; offset += (int)piece, bytes -= (int)piece)
            _log.Mark(host, piece);
    }
}

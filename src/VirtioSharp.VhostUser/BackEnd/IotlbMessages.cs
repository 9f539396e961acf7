using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Obeys IOTLB_MSG: translations come and go ("IOMMU support"). It is answered in any case: 0 when it was granted.</summary>
/// <remarks>
/// When a translation goes, also because a new one takes its place or its room, rings and requests that use it are finished
/// with first: once the answer is sent, nothing there is touched any more.
/// </remarks>
internal sealed class IotlbMessages(IncomingMessage message, SharedMemory memory, RingSet rings, IotlbMisses misses, SessionRecorder recorder, ILogger log)
{
    /// <summary>Far more than all rings and a usual request of each need at one time; those that are not used any more need not be given back.</summary>
    public const int MaxEntries = 8192;

    /// <returns>Whether it could be granted; null when the message is another one.</returns>
    public bool? Obey()
    {
        if (message.Request != FrontEndRequest.IotlbMsg)
            return null;
        if (memory.Iotlb is not { } iotlb)
            throw new TransportException("IOTLB_MSG belongs to the feature ACCESS_PLATFORM, which was not negotiated");
        var payload = message.Read<IotlbPayload>();
        bool done = payload.Type switch
        {
            IotlbType.Update => Update(iotlb, payload),
            IotlbType.Invalidate => Invalidate(iotlb, payload),
            _ => throw new TransportException($"IOTLB_MSG: type = {(int)payload.Type} is neither UPDATE (2) nor INVALIDATE (3)"),
        };
        message.Reply(done ? 0UL : 1UL);
        rings.RunAll(); // those that had to let go: the next thing they do is ask
        return done;
    }

    private bool Update(Iotlb iotlb, in IotlbPayload payload)
    {
        ulong last = LastOf(payload);
        if (payload.Permission is MemoryAccess.None or > MemoryAccess.ReadWrite)
            throw new TransportException($"IOTLB_MSG: permission = {(int)payload.Permission} is neither read (1), write (2) nor both (3)");
        if (payload.Size - 1 > ulong.MaxValue - payload.UserAddress)
            throw new TransportException($"IOTLB_MSG: user address = 0x{payload.UserAddress:x}, size = 0x{payload.Size:x} wraps");

        if (Find(payload) is not { } entries)
        {
            if (recorder.Fault("TranslationRefused"))
                log.TranslationRefused($"user address 0x{payload.UserAddress:x}, size 0x{payload.Size:x}, is not all in shared memory (I/O address 0x{payload.Iova:x})");
            misses.Refuse(new IotlbEntry(new(new(payload.Iova), payload.Size, 0), payload.Permission));
            return false;
        }

        foreach (IotlbEntry entry in entries)
            Put(iotlb, entry);
        misses.Satisfy(new IotlbEntry(new(new(payload.Iova), last - payload.Iova + 1, 0), payload.Permission));
        return true;
    }

    private bool Invalidate(Iotlb iotlb, in IotlbPayload payload)
    {
        foreach (IotlbEntry entry in iotlb.Overlapping(payload.Iova, LastOf(payload)))
            Drop(iotlb, entry);
        return true;
    }

    private void Put(Iotlb iotlb, IotlbEntry entry)
    {
        foreach (IotlbEntry old in iotlb.Overlapping(entry.Region.Start.Value, entry.Last))
        {
            if (old.Includes(entry) && old.Access == entry.Access)
                return;
            if (entry.Includes(old))
                iotlb.Remove(old); // whoever uses it may go on
            else
                Drop(iotlb, old);
        }

        while (iotlb.IsFull)
            DropOldest(iotlb);
        iotlb.Add(entry);
    }

    /// <summary>Rings go on needing what they lie in, whatever requests come: that is the last to go.</summary>
    private void DropOldest(Iotlb iotlb)
    {
        for (int left = iotlb.Count; left > 0 && rings.LieIn(iotlb.Oldest.Region); left--)
            iotlb.Renew(iotlb.Oldest);
        Drop(iotlb, iotlb.Oldest);
    }

    private void Drop(Iotlb iotlb, IotlbEntry entry)
    {
        rings.LetGoOf(entry.Region);
        iotlb.Remove(entry);
    }

    /// <summary>Where the memory lies here: in several pieces when it spans regions.</summary>
    /// <returns>Null when not all of it is in shared memory.</returns>
    private List<IotlbEntry>? Find(in IotlbPayload payload)
    {
        List<IotlbEntry> entries = [];
        for (ulong done = 0; done < payload.Size;)
        {
            ulong piece = memory.Table.TranslateUser(payload.UserAddress + done, payload.Size - done, out nint host);
            if (piece == 0)
                return null;
            entries.Add(new(new(new(payload.Iova + done), piece, host), payload.Permission));
            done += piece;
        }

        return entries;
    }

    private static ulong LastOf(in IotlbPayload payload) => payload.Size > 0 && payload.Size - 1 <= ulong.MaxValue - payload.Iova
        ? payload.Iova + (payload.Size - 1)
        : throw new TransportException($"IOTLB_MSG: I/O address = 0x{payload.Iova:x}, size = 0x{payload.Size:x} is empty or wraps");
}

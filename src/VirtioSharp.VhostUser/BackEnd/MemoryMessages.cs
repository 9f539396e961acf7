using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Obeys the messages about guest memory: all of it at once or region by region, and the log of what is written to it.</summary>
internal sealed class MemoryMessages(IncomingMessage message, SharedMemory memory, RingSet rings, SessionRecorder recorder, ILogger log)
{
    /// <summary>Whether guest addresses stand in for user addresses (GPA_ADDRESSES).</summary>
    public bool HasGuestAddresses { get; set; }

    /// <returns>Whether it could be granted; null when the message is none of these.</returns>
    public bool? Obey()
    {
        switch (message.Request)
        {
            case FrontEndRequest.GetMaxMemSlots:
                message.Reply((ulong)MemoryTable.MaxSlots);
                return true;
            case FrontEndRequest.SetMemTable:
                return SetTable(message.Payload);
            case FrontEndRequest.AddMemReg:
                return AddRegion(message.Read<SingleMemoryRegion>().Region);
            case FrontEndRequest.RemMemReg:
                return Replace(memory.Table.Without(message.Read<SingleMemoryRegion>().Region));
            case FrontEndRequest.SetLogBase:
                memory.SetLog(message.Read<LogDescription>(), message.TakeFd());
                message.Reply(0UL); // QEMU waits for it, though it did not ask for a reply
                return rings.Resume();
            case FrontEndRequest.SetLogFd:
                memory.SetLogSignal(message.TakeOnlyEventFd());
                return true;
            default:
                return null;
        }
    }

    private bool SetTable(ReadOnlySpan<byte> payload)
    {
        uint count = MemoryMarshal.Read<MemoryTableHeader>(payload).Regions;
        ReadOnlySpan<MemoryRegionPayload> regions = MemoryMarshal.Cast<byte, MemoryRegionPayload>(payload[8..]);
        if (count > (uint)regions.Length)
            throw new TransportException($"SET_MEM_TABLE: {count} regions are announced, {regions.Length} fit into the message");
        if (count != (uint)message.Fds.Count)
            throw new TransportException($"SET_MEM_TABLE: {count} regions came with {message.Fds.Count} file descriptors");

        var slots = new List<MemoryTable.Slot>();
        try
        {
            for (int i = 0; i < (int)count; i++)
                slots.Add(Map(regions[i], message.Fds.Take(i)));
            return Replace(slots);
        }
        catch (TransportException)
        {
            slots.ForEach(slot => slot.Mapping.Dispose());
            throw;
        }
    }

    private bool AddRegion(MemoryRegionPayload region)
    {
        MemoryTable.Slot slot = Map(region, message.TakeFd());
        try
        {
            return Replace(memory.Table.With(slot));
        }
        catch (TransportException)
        {
            slot.Mapping.Dispose();
            throw;
        }
    }

    private MemoryTable.Slot Map(MemoryRegionPayload region, FileDescriptor file)
    {
        if (!HasGuestAddresses || region.UserAddress == region.GuestAddress)
            return MemoryTable.MapRegion(region, file);
        file.Dispose();
        throw new TransportException($"memory region at 0x{region.GuestAddress:x}: user address = 0x{region.UserAddress:x} must be the guest address, too (GPA_ADDRESSES)");
    }

    /// <returns>False when a ring should run now but cannot.</returns>
    private bool Replace(List<MemoryTable.Slot> slots)
    {
        if (memory.Iotlb is not null)
            rings.Pause(); // a ring whose translation goes with its region waits for another one
        memory.Replace(slots);
        recorder.MemoryRegions(memory.Table.Count);
        if (!memory.IsSealed && recorder.Fault("MemoryNotSealed"))
            log.MemoryNotSealed();
        return rings.Resume();
    }
}

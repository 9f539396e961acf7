using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Split;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>The memory in which all rings note what is in flight. The front-end keeps it for us while we are dead ("Inflight I/O tracking").</summary>
internal sealed class InflightBuffer : IDisposable
{
    private readonly SharedFile _shared;
    private readonly InflightDescription _description;

    private InflightBuffer(SharedFile shared, InflightDescription description) => (_shared, _description) = (shared, description);

    /// <summary>Whether it is safe from being cut short under us.</summary>
    public bool IsSealed => _shared.IsSealed;

    /// <summary>Whether it was cut short, and what is gone has been touched.</summary>
    public bool HasLost => _shared.HasLost;

    /// <summary>Makes the memory, all zeros: nothing is in flight.</summary>
    /// <returns>What to tell the front-end, and the file to send it.</returns>
    /// <exception cref="TransportException">It asks for what no device has.</exception>
    public static (InflightDescription Description, FileDescriptor File) Create(InflightDescription asked, int queues, bool packed)
    {
        MustBePossible("GET_INFLIGHT_FD", asked, queues);
        ulong bytes = (ulong)asked.NumQueues * (ulong)InflightRegion.BytesOf(asked.QueueSize, packed);
        try
        {
            FileDescriptor file = MemFd.Create("vhost-user in flight", (long)bytes);
            MemFd.TrySealShrink(file);
            return (new InflightDescription(bytes, 0, asked.NumQueues, asked.QueueSize), file);
        }
        catch (LinuxException refused)
        {
            throw new TransportException($"GET_INFLIGHT_FD: {refused.Message}", refused);
        }
    }

    /// <summary>Maps what the front-end gives back.</summary>
    /// <param name="description">Its claim.</param>
    /// <param name="file">The memory; closed on return.</param>
    /// <param name="queues">Rings that the device has.</param>
    /// <param name="packed">Their format.</param>
    /// <exception cref="TransportException">The claim does not hold.</exception>
    public static InflightBuffer Map(InflightDescription description, FileDescriptor file, int queues, bool packed)
    {
        using (file)
        {
            MustBePossible("SET_INFLIGHT_FD", description, queues);
            ulong needed = (ulong)description.NumQueues * (ulong)InflightRegion.BytesOf(description.QueueSize, packed);
            if (description.MmapSize < needed)
                throw new TransportException($"SET_INFLIGHT_FD: mmap size = {description.MmapSize}, but {description.NumQueues} queues of {description.QueueSize} need {needed} bytes");
            if (description.MmapOffset % 8 != 0)
                throw new TransportException($"SET_INFLIGHT_FD: mmap offset = 0x{description.MmapOffset:x} is not aligned to 8");
            string claim = $"SET_INFLIGHT_FD: mmap size = {description.MmapSize}, mmap offset = 0x{description.MmapOffset:x}";
            return new InflightBuffer(SharedFile.Map(file, description.MmapOffset, description.MmapSize, claim), description);
        }
    }

    /// <summary>The part of one ring.</summary>
    /// <exception cref="QueueException">It has none, or the format has changed to one that needs more.</exception>
    public InflightRegion RegionOf(int ring, bool packed) => Find(ring, packed)
        ?? throw new QueueException($"ring {ring} has no part in the in-flight memory of {_shared.Mapping.Length} bytes for {_description.NumQueues} queues of {_description.QueueSize}");

    /// <summary>Nothing of one ring is in flight any more.</summary>
    public void Forget(int ring, bool packed) => Find(ring, packed)?.Clear();

    private InflightRegion? Find(int ring, bool packed)
    {
        int bytes = InflightRegion.BytesOf(_description.QueueSize, packed);
        return ring < _description.NumQueues && (ulong)(ring + 1) * (ulong)bytes <= _shared.Mapping.Length
            ? new InflightRegion(_shared.Mapping.Address + ring * bytes, _description.QueueSize)
            : null;
    }

    public void Dispose() => _shared.Mapping.Dispose();

    private static void MustBePossible(string message, InflightDescription description, int queues)
    {
        if (description.NumQueues == 0 || description.NumQueues > queues)
            throw new TransportException($"{message}: num queues = {description.NumQueues}, the device has {queues}");
        if (description.QueueSize is 0 or > SplitLayout.MaxQueueSize)
            throw new TransportException($"{message}: queue size = {description.QueueSize} is not in 1…{SplitLayout.MaxQueueSize}");
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Takes down what a session sees; nothing here is on a request's way.</summary>
internal sealed class SessionRecorder
{
    private readonly DeviceHost _host;
    private readonly QueueStatistics[] _before;
    private readonly int[] _sizes;
    private readonly SortedDictionary<string, int> _messages = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, int> _faults = new(StringComparer.Ordinal);
    private FeatureSet _features;
    private ProtocolFeatures _protocol;
    private int _ringStarts;
    private int _memoryRegions;
    private int _iotlbMisses;

    public SessionRecorder(DeviceHost host)
    {
        _host = host;
        _before = [.. Enumerable.Range(0, host.Traits.Queues.Count).Select(host.Statistics)];
        _sizes = new int[_before.Length];
    }

    /// <summary>Whether any request came through in this session.</summary>
    public bool HasServed => _before.Where((before, index) => _host.Statistics(index).Chains != before.Chains).Any();

    public void Message(string name) => Count(_messages, name);

    public void Features(FeatureSet features) => _features = features;

    public void ProtocolFeatures(ProtocolFeatures features) => _protocol = features;

    public void MemoryRegions(int count) => _memoryRegions = Math.Max(_memoryRegions, count);

    public void RingRuns(int queue, int size) => _sizes[queue] = size;

    public void IotlbMiss() => _iotlbMisses++;

    public void RingStarts() => _ringStarts++;

    /// <returns>True for the first of its kind, which is the one to log.</returns>
    public bool Fault(string kind) => Count(_faults, kind) == 1;

    public SessionReport Report(string? ended) => new(
        _host.Traits.Id,
        _messages,
        _features,
        _protocol,
        _ringStarts,
        _memoryRegions,
        [.. _host.Traits.Queues.Select((traits, index) => new QueueReport(traits.Name, _sizes[index], _host.Statistics(index).Since(_before[index])))],
        _faults,
        ended)
    {
        IotlbMisses = _iotlbMisses,
    };

    private static int Count(SortedDictionary<string, int> counts, string name)
    {
        counts[name] = counts.TryGetValue(name, out int count) ? ++count : count = 1;
        return count;
    }
}

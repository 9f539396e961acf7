using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

/// <summary>Drives a block device (§5.2): submit requests and take their results in any order, or call <see cref="Read"/> and its like and wait.</summary>
/// <remarks>
/// One thread. A submitted request is one request on the ring, no longer than <see cref="Properties"/> allow; blocking
/// calls of any length are cut to that. Neither way allocates anything per request.
/// </remarks>
public sealed partial class BlockDriver : IDisposable
{
    /// <summary>Lets the driver choose the queue.</summary>
    public const int AnyQueue = -1;

    private static readonly FeatureSet Known =
        BlockFeatures.SizeMax | BlockFeatures.SegMax | BlockFeatures.Geometry | BlockFeatures.ReadOnly | BlockFeatures.BlockSize
        | BlockFeatures.Flush | BlockFeatures.Topology | BlockFeatures.ConfigWriteback | BlockFeatures.MultiQueue
        | BlockFeatures.Discard | BlockFeatures.WriteZeroes;

    private readonly DriverSession _session;
    private readonly BlockQueue[] _queues;
    private readonly int _slotsPerQueue;
    private int _nextQueue;
    private ulong _nextNumber;

    /// <summary>Sets the device up.</summary>
    /// <param name="transport">The way to the device; not disposed.</param>
    /// <param name="options">How to drive it.</param>
    /// <exception cref="TransportException">It is no block device, or it cannot be set up.</exception>
    /// <exception cref="QueueException">It has no usable queue.</exception>
    public BlockDriver(IDriverTransport transport, BlockDriverOptions? options = null)
    {
        _options = options ?? new BlockDriverOptions();
        _session = DriverSession.Open(transport, DeviceId.Block, Known, _options.Withheld);
        BlockConfiguration space = _session.ReadConfiguration(fields => BlockSpace.Read(fields, NegotiatedFeatures));
        Capacity = space.Capacity;
        DriverQueue[] queues = EnableQueues(space);
        _slotsPerQueue = queues.Max(queue => queue.Layout.Size);
        try
        {
            Properties = new BlockProperties(_session.NegotiatedFeatures, space, queues.Min(queue => queue.Layout.Size));
        }
        catch (TransportException)
        {
            _session.Dispose();
            throw;
        }

        _queues = [.. queues.Select((queue, i) => new BlockQueue(queue, transport.Dma, Properties, i * _slotsPerQueue))];
        _waiting = new BlockResult[MaxInFlight];
        _copy = transport.Dma.Allocate(_options.CopyBytes, BlockLayout.SectorBytes);
        _session.ConfigurationChanged += (_, _) => ReadCapacity();
        _session.Start();
    }

    /// <summary>The device's size has changed; the new one is in <see cref="Capacity"/>. Raised while the driver waits, and in <see cref="CheckConfiguration"/>.</summary>
    public event EventHandler? CapacityChanged;

    /// <summary>The device's size in sectors of 512 bytes, as last read.</summary>
    public ulong Capacity { get; private set; }

    /// <summary>What the device says of itself.</summary>
    public BlockProperties Properties { get; }

    /// <summary>What was agreed on.</summary>
    public FeatureSet NegotiatedFeatures => _session.NegotiatedFeatures;

    /// <summary>How many queues are in use.</summary>
    public int QueueCount => _queues.Length;

    /// <summary>One more than the highest slot of a token.</summary>
    public int MaxInFlight => _queues.Length * _slotsPerQueue;

    /// <summary>Adds a request. The device sees it with the next <see cref="Kick"/> or <see cref="Wait"/>.</summary>
    /// <param name="request">What to do. Its data belongs to the device until the result is taken.</param>
    /// <param name="token">Names it in its result.</param>
    /// <param name="queue">Which queue; by default each in turn, full ones left out.</param>
    /// <returns>False when there is no room: take results first.</returns>
    /// <exception cref="ArgumentOutOfRangeException">It is longer than the device takes in one request, or ends beyond <see cref="Capacity"/>.</exception>
    /// <exception cref="NotSupportedException">The device has no such request.</exception>
    public bool TrySubmit(in BlockRequest request, out BlockToken token, int queue = AnyQueue)
    {
        Properties.Check(request, Capacity);
        return Submit(request, isBlocking: false, queue, out token);
    }

    /// <summary>Shows the device what was submitted.</summary>
    public void Kick()
    {
        foreach (BlockQueue queue in _queues)
            queue.Kick();
    }

    /// <summary>Takes a result.</summary>
    /// <returns>False when there is none now.</returns>
    /// <exception cref="QueueException">The device broke a queue. It has been reset.</exception>
    public bool TryTake(out BlockResult result)
    {
        if (_waitingCount == 0)
            Collect();
        if (_waitingCount == 0)
        {
            result = default;
            return false;
        }

        result = _waiting[_firstWaiting];
        (_firstWaiting, _waitingCount) = ((_firstWaiting + 1) % _waiting.Length, _waitingCount - 1);
        _queues[result.Token.Slot / _slotsPerQueue].Release(result.Token);
        return true;
    }

    /// <summary>Waits for a result, and takes it.</summary>
    /// <returns>False when the time ran out, or nothing is in flight.</returns>
    /// <exception cref="QueueException">The device broke a queue. It has been reset.</exception>
    /// <exception cref="DeviceException">The device needs a reset.</exception>
    public bool Wait(TimeSpan timeout, out BlockResult result)
    {
        Kick();
        long start = _session.Time.GetTimestamp();
        while (!TryTake(out result))
        {
            TimeSpan left = timeout == Timeout.InfiniteTimeSpan ? timeout : timeout - _session.Time.GetElapsedTime(start);
            if (InFlight == 0 || (left < TimeSpan.Zero && timeout >= TimeSpan.Zero) || _session.Wait(left) == InterruptSource.None)
                return TryTake(out result);
        }

        return true;
    }

    /// <summary>Looks whether the device says that its configuration has changed, and reads its size again (§5.2.6.1).</summary>
    /// <returns>Whether it said so.</returns>
    /// <exception cref="DeviceException">It says that it needs a reset.</exception>
    public bool CheckConfiguration() => _session.Wait([InterruptSource.Configuration], TimeSpan.Zero) != InterruptSource.None;

    /// <summary>Resets the device. What is in flight gets no result.</summary>
    public void Dispose() => _session.Dispose();

    private int InFlight
    {
        get
        {
            int all = 0;
            foreach (BlockQueue queue in _queues)
                all += queue.InFlight;
            return all;
        }
    }

    private bool Submit(in BlockRequest request, bool isBlocking, int queue, out BlockToken token)
    {
        if (queue != AnyQueue)
            return _queues[queue].TrySubmit(request, _nextNumber++, isBlocking, out token);
        for (int i = 0; i < _queues.Length; i++)
        {
            BlockQueue next = _queues[_nextQueue];
            _nextQueue = _nextQueue + 1 == _queues.Length ? 0 : _nextQueue + 1;
            if (next.TrySubmit(request, _nextNumber++, isBlocking, out token))
                return true;
        }

        token = default;
        return false;
    }

    private DriverQueue[] EnableQueues(in BlockConfiguration space)
    {
        int offered = _session.NegotiatedFeatures.Has(BlockFeatures.MultiQueue) ? Math.Max((int)(ushort)space.QueueCount, 1) : 1;
        QueueRequest[] requests = [.. Enumerable.Range(0, Math.Min(_options.MaxQueues, offered)).Select(i => new QueueRequest(i, $"request{i + 1}", _options.QueueSize))];
        _session.EnableQueues(requests);
        return [.. requests.Select(request => _session.Queue(request.Index))];
    }

    private void ReadCapacity()
    {
        ulong capacity = _session.ReadConfiguration<ulong>(BlockConfigurationOffset.Capacity);
        if (capacity == Capacity)
            return;
        Capacity = capacity;
        CapacityChanged?.Invoke(this, EventArgs.Empty);
    }
}

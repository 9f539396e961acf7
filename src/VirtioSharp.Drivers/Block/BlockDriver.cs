using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
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
public sealed partial class BlockDriver : BoundDevice, IDisposable
{
    /// <summary>Lets the driver choose the queue.</summary>
    public const int AnyQueue = -1;

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
        : this(DriverSession.Open(transport, DeviceId.Block, new VirtioBlock(options).Features), options)
    {
    }

    /// <summary>Takes a device in hand that has been negotiated with, and starts it.</summary>
    /// <inheritdoc cref="BlockDriver(IDriverTransport, BlockDriverOptions?)"/>
    /// <param name="session">Up to FEATURES_OK, with the features of <see cref="VirtioBlock"/>.</param>
    /// <param name="options">How to drive it.</param>
    public BlockDriver(DriverSession session, BlockDriverOptions? options = null)
    {
        (_session, _options) = (session, options ?? new BlockDriverOptions());
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

        _queues = [.. queues.Select((queue, i) => new BlockQueue(queue, session.Dma, Properties, i * _slotsPerQueue))];
        _waiting = new BlockResult[MaxInFlight];
        _copy = session.Dma.Allocate(_options.CopyBytes, BlockLayout.SectorBytes);
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

    /// <summary>One of the queues, for a thread of its own. While lanes are in use, nothing of the driver's own is but <see cref="CheckConfiguration"/>.</summary>
    /// <param name="queue">Which queue, from 0 on.</param>
    public BlockLane Lane(int queue) => new(this, _queues[queue]);

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
    public void Dispose()
    {
        _session.Dispose();
        CloseQueues();
    }

    /// <summary>All that is in flight gets its result; those of submitted requests wait to be taken.</summary>
    protected override void OnFreeze()
    {
        Kick();
        while (InFlight > 0)
            Await();
    }

    /// <summary>The device has the same cache as before. What it never answered, because it was broken, is <see cref="BlockOutcome.Lost"/>.</summary>
    protected override void OnRestore()
    {
        foreach (BlockQueue queue in _queues)
        {
            while (queue.TryAbandon(out BlockResult result, out bool isBlocking))
                Sort(queue, result, isBlocking);
        }

        _failure = null; // of a call that has not waited for it
        if (_writeback is { } on)
            WriteWriteback(on);
        _session.Start();
        ReadCapacity();
    }

    /// <inheritdoc/>
    protected override void OnRemove(bool isGone) => CloseQueues();

    /// <summary>The queues' memory may be gone next.</summary>
    private void CloseQueues()
    {
        foreach (BlockQueue queue in _queues)
            queue.Close();
    }

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

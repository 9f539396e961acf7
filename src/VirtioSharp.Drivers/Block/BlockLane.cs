using VirtioSharp.Core.Errors;

namespace VirtioSharp.Drivers.Block;

/// <summary>One queue of a <see cref="BlockDriver"/> for a thread of its own, beside other lanes with theirs. No lock, no allocation.</summary>
/// <remarks>The transport must let a thread wait for one queue while others wait for theirs; a vhost-user front-end is told so when it is made.</remarks>
public sealed class BlockLane
{
    private readonly BlockDriver _driver;
    private readonly BlockQueue _queue;
    private ulong _number;

    internal BlockLane(BlockDriver driver, BlockQueue queue) => (_driver, _queue) = (driver, queue);

    /// <summary>Requests that have no result yet.</summary>
    public int InFlight => _queue.InFlight;

    /// <summary>Adds a request. The device sees it with the next <see cref="Kick"/> or <see cref="Wait"/>.</summary>
    /// <inheritdoc cref="BlockDriver.TrySubmit"/>
    public bool TrySubmit(in BlockRequest request, out BlockToken token)
    {
        _driver.Properties.Check(request, _driver.Capacity);
        return _queue.TrySubmit(request, _number++, isBlocking: false, out token);
    }

    /// <summary>Shows the device what was submitted.</summary>
    public void Kick() => _queue.Kick();

    /// <summary>Takes a result.</summary>
    /// <returns>False when there is none now.</returns>
    /// <exception cref="QueueException">The device broke the queue. It has been reset.</exception>
    public bool TryTake(out BlockResult result)
    {
        if (!_queue.TryTake(out result, out _))
            return false;
        _queue.Release(result.Token);
        return true;
    }

    /// <summary>Waits for a result, and takes it.</summary>
    /// <returns>False when the time ran out.</returns>
    /// <exception cref="QueueException">The device broke the queue. It has been reset.</exception>
    public bool Wait(TimeSpan timeout, out BlockResult result)
    {
        Kick();
        if (!_queue.Wait(timeout, out result))
            return false;
        _queue.Release(result.Token);
        return true;
    }
}

using VirtioSharp.Core.Driver;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

// Notifications of the device. Used buffers signal their queue's call descriptor, which keeps the signal until it is taken; changes of
// the configuration come as a request of the back-end's, and its giving up by an error descriptor.
public sealed partial class VhostUserFrontEnd
{
    private const int MainSlot = 0, RequestsSlot = 1, FirstRingSlot = 2; // then each ring's call and error descriptors

    private readonly PollSet _poll;

    private bool HasConfigurationChange => _configurationChanges != _configurationChangesTaken;

    /// <inheritdoc/>
    /// <remarks>When the back-end has closed the connection, it also waits for it to come back, if that is wanted.</remarks>
    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        if (_options.HasThreadPerQueue && sources is [{ IsQueue: true, QueueIndex: var only }])
            return _rings[only]!.WaitForCall(timeout) ? sources[0] : InterruptSource.None;
        long start = Time.GetTimestamp();
        bool isLimited = timeout >= TimeSpan.Zero && timeout != TimeSpan.MaxValue;
        WatchQueues(sources);
        while (true)
        {
            TimeSpan left = isLimited ? timeout - Time.GetElapsedTime(start) : Timeout.InfiniteTimeSpan;
            bool isLast = isLimited && left <= TimeSpan.Zero;
            if (_lost is not null && !TryReconnect(isLast ? TimeSpan.Zero : left))
                return InterruptSource.None;
            bool isPending = HasConfigurationChange && sources.Contains(InterruptSource.Configuration);
            _poll.Watch(RequestsSlot, _link.Channel.Requests is { IsOpen: true });
            _poll.Wait(isPending || isLast ? TimeSpan.Zero : left);
            Serve();
            InterruptSource taken = Take(sources);
            if (taken != InterruptSource.None || (isLast && _lost is null))
                return taken;
        }
    }

    private void Watch(BackEndLink link)
    {
        _poll.Set(MainSlot, link.Channel.Descriptor);
        _poll.Set(RequestsSlot, link.Channel.Requests?.Descriptor);
    }

    private void WatchRing(int index, FrontEndRing ring)
    {
        _poll.Set(CallSlot(index), ring.Call.Descriptor);
        _poll.Set(ErrorSlot(index), ring.Error.Descriptor);
    }

    /// <summary>The others' signals stay where they are, and must not end this wait.</summary>
    private void WatchQueues(ReadOnlySpan<InterruptSource> sources)
    {
        for (int i = 0; i < _rings.Length; i++)
            _poll.Watch(CallSlot(i), false);
        foreach (InterruptSource source in sources)
            if (source.IsQueue && source.QueueIndex < _rings.Length)
                _poll.Watch(CallSlot(source.QueueIndex), true);
    }

    /// <summary>Everything but the queues: what the back-end asks, says of a ring, or that it has left.</summary>
    private void Serve()
    {
        for (int i = 0; i < _rings.Length; i++)
        {
            if (!_poll.IsReady(ErrorSlot(i)) || !_rings[i]!.Error.TryDrain(out _))
                continue;
            if (!_link.Has(ProtocolFeatures.Status))
                _status |= DeviceStatus.NeedsReset;
            OnConfigurationChanged(); // the same notification says so (§2.1.2)
        }

        if (_poll.IsReady(RequestsSlot))
            _link.Channel.ServeRequest();
        if (!_poll.IsReady(MainSlot))
            return;
        try
        {
            _link.Channel.ExpectNothing();
        }
        catch (VhostUserException lost) when (lost.Failure == VhostUserFailure.Lost)
        {
            Lose(lost); // what it has used before is taken first
        }
    }

    private InterruptSource Take(ReadOnlySpan<InterruptSource> sources)
    {
        foreach (InterruptSource source in sources)
        {
            if (source.IsQueue)
            {
                if (source.QueueIndex < _rings.Length && _poll.IsReady(CallSlot(source.QueueIndex)) && _rings[source.QueueIndex]!.Call.TryDrain(out _))
                    return source;
            }
            else if (source == InterruptSource.Configuration && HasConfigurationChange)
            {
                _configurationChangesTaken = _configurationChanges;
                return source;
            }
        }

        return InterruptSource.None;
    }

    private static int CallSlot(int index) => FirstRingSlot + 2 * index;

    private static int ErrorSlot(int index) => FirstRingSlot + 2 * index + 1;
}

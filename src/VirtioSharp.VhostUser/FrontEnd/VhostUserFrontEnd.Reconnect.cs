using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

// A back-end that died and was started again. It is told everything once more, and goes on in each ring behind what was used last;
// with INFLIGHT_SHMFD it knows from the in-flight buffer what its predecessor had taken. The driver notices that it waits longer.
public sealed partial class VhostUserFrontEnd
{
    private static readonly TimeSpan TryAgainAfter = TimeSpan.FromMilliseconds(20);

    private VhostUserException? _lost; // how the connection ended, until there is a new one
    private long _lostSince;

    private bool CanReconnect => _path is not null && _options.ReconnectTimeout > TimeSpan.Zero;

    private static UnixSocket ConnectTo(string path, TimeSpan timeout)
    {
        try
        {
            return UnixSocket.Connect(path, timeout);
        }
        catch (LinuxException full) when (full.Errno == Errno.EAGAIN)
        {
            throw new VhostUserException(VhostUserFailure.TimedOut, FrontEndRequest.None, $"the back-end accepts no connection: {full.Message}", full);
        }
        catch (LinuxException refused)
        {
            throw new VhostUserException(VhostUserFailure.Lost, FrontEndRequest.None, refused.Message, refused);
        }
    }

    /// <summary>Sends a message; when the connection is lost, the next back-end is told it with the rest of what holds now.</summary>
    private void Tell<T>(Action<BackEndLink, T> message, T what)
    {
        if (_lost is null)
        {
            try
            {
                message(_link, what);
                return;
            }
            catch (VhostUserException lost) when (lost.Failure == VhostUserFailure.Lost && CanReconnect)
            {
                Lose(lost);
            }
        }

        TryReconnect(Timeout.InfiniteTimeSpan);
    }

    /// <summary>Asks something; when the connection is lost, the next back-end is asked. One that always comes back and dies of the
    /// question is given up, too.</summary>
    private TResult Call<T, TResult>(Func<BackEndLink, T, TResult> question, T what)
    {
        long start = Time.GetTimestamp();
        for (int deaths = 0; ; deaths++)
        {
            if (deaths > 1)
                Thread.Sleep(TryAgainAfter * Math.Min(deaths, 50)); // not one after the other as fast as they can be started
            if (_lost is not null)
                TryReconnect(Timeout.InfiniteTimeSpan);
            try
            {
                return question(_link, what);
            }
            catch (VhostUserException lost) when (lost.Failure == VhostUserFailure.Lost && CanReconnect && Time.GetElapsedTime(start) < _options.ReconnectTimeout)
            {
                Lose(lost);
            }
        }
    }

    private void Lose(VhostUserException lost)
    {
        (_lost, _lostSince) = (lost, Time.GetTimestamp());
        _poll.Set(MainSlot, null);
        _poll.Set(RequestsSlot, null);
        _link.Dispose();
    }

    /// <summary>Looks for the back-end until it is there.</summary>
    /// <param name="timeout">The longest to look; zero tries once.</param>
    /// <returns>False when that time ran out. The next call goes on looking.</returns>
    /// <exception cref="VhostUserException">It has been away for too long, or another one has taken its place.</exception>
    private bool TryReconnect(TimeSpan timeout)
    {
        long start = Time.GetTimestamp();
        while (true)
        {
            VhostUserException reason = _lost!;
            if (CanReconnect)
            {
                try
                {
                    Reconnect();
                    return true;
                }
                catch (VhostUserException away) when (away.Failure is VhostUserFailure.Lost or VhostUserFailure.TimedOut)
                {
                    reason = away;
                }
            }

            if (!CanReconnect || Time.GetElapsedTime(_lostSince) >= _options.ReconnectTimeout)
                throw GiveUp(reason);
            TimeSpan left = timeout - Time.GetElapsedTime(start);
            if (timeout >= TimeSpan.Zero && left <= TimeSpan.Zero)
                return false;
            Thread.Sleep(timeout >= TimeSpan.Zero && left < TryAgainAfter ? left : TryAgainAfter);
        }
    }

    private VhostUserException GiveUp(VhostUserException reason) => CanReconnect
        ? new(VhostUserFailure.Lost, _lost!.Request, $"{_lost.Message}, and has not come back within {_options.ReconnectTimeout.TotalSeconds} s: {reason.Message}", _lost)
        : new(VhostUserFailure.Lost, _lost!.Request, _lost.Message, _lost);

    private void Reconnect()
    {
        UnixSocket connection = ConnectTo(_path!, timeout: TimeSpan.Zero); // whoever tries again waits
        BackEndLink link = BackEndLink.Open(connection, _options, _link.Protocol, _events);
        try
        {
            RequireTheSame(link);
            Resume(link);
        }
        catch
        {
            link.Dispose();
            throw;
        }

        Adopt(link);
    }

    /// <summary>From now on this is the back-end.</summary>
    private void Adopt(BackEndLink link)
    {
        (_link, _lost) = (link, null);
        Watch(link);
        OnConfigurationChanged(); // it may have, meanwhile
        WakeBothEnds();
    }

    private void WakeBothEnds()
    {
        for (int i = 0; i < _rings.Length; i++)
        {
            if (_rings[i] is not { IsStarted: true } ring)
                continue;
            Kick(i, ring); // the one who took the last kicks is dead
            ring.Call.Signal(); // and so is the one who had used and not said so yet
        }
    }

    private void RequireTheSame(BackEndLink link)
    {
        if (!link.Offer.Features.Has(_accepted ?? default) || link.HasProtocolFeatures != _link.HasProtocolFeatures)
            throw Other(FrontEndRequest.GetFeatures, $"offers {link.Offer.Features}, and the driver uses {_accepted}");
        if (link.IsTranslated != _link.IsTranslated)
            throw Other(FrontEndRequest.GetFeatures, $"offers {link.Offer.Features}, and {Features.AccessPlatform} is in use");
        if (link.Protocol != _link.Protocol)
            throw Other(FrontEndRequest.GetProtocolFeatures, $"has no protocol feature {_link.Protocol & ~link.Protocol}");
        if (link.Offer.Queues < _rings.Length)
            throw Other(FrontEndRequest.GetQueueNum, $"has {link.Offer.Queues} queues in place of {_rings.Length}");

        static VhostUserException Other(FrontEndRequest request, string what) =>
            new(VhostUserFailure.Lacking, request, $"the back-end that has come back is another one: it {what}");
    }

    private void Resume(BackEndLink link)
    {
        if ((_status & DeviceStatus.DriverOk) != 0)
        {
            SetStatus(link, _status & ~DeviceStatus.DriverOk);
            Start(link, WhereToResume);
            return;
        }

        if (_accepted is { } accepted)
            link.SetFeatures(accepted);
        if (_status != DeviceStatus.Reset)
            SetStatus(link, _status);
        _written.TellAgain(link.Channel);
    }

    private QueueSnapshot WhereToResume(int index, FrontEndRing ring)
    {
        if (ring.Queue is not { } queue)
            throw new VhostUserException(VhostUserFailure.Lacking, FrontEndRequest.SetVringBase, $"queue {index} cannot be resumed: its driver keeps no record of what is in flight");
        try
        {
            return queue.ResumeAt(isTracked: _inflight is not null);
        }
        catch (QueueException broken)
        {
            throw new TransportException($"queue {index} cannot be resumed: {broken.Message}", broken);
        }
    }
}

using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

// Another back-end takes the place of this one, while the driver is at work: what a live migration does with a back-end.
public sealed partial class VhostUserFrontEnd
{
    /// <summary>Moves the device to another back-end. The driver goes on; requests in flight are used once, here or there.</summary>
    /// <remarks>
    /// With GET_VRING_BASE_INFLIGHT the old back-end may leave them to the new one, which finds them in the in-flight buffer; else it
    /// completes them first. With DEVICE_STATE its state goes along. When the new one fails, it is taken off the rings, and the old one
    /// goes on. Not while queues have threads of their own: they must not touch their rings meanwhile.
    /// </remarks>
    /// <param name="path">Where the new one listens. It must offer what the old one does.</param>
    /// <exception cref="VhostUserException">It cannot take over, and the old one has gone on; or the old one fails.</exception>
    public void MoveTo(string path)
    {
        if (_lost is not null)
            TryReconnect(Timeout.InfiniteTimeSpan);
        BackEndLink next = BackEndLink.Open(ConnectTo(path, _options.ReplyTimeout), _options, _link.Protocol, _events);
        try
        {
            RequireTheSame(next);
            StopForMove();
        }
        catch
        {
            next.Dispose();
            throw;
        }

        try
        {
            HandOver(next);
        }
        catch
        {
            TakeBackRings(next); // before anybody else is on them: it may have run some
            next.Dispose();
            GoOn();
            throw;
        }

        _path = path;
        using BackEndLink old = _link;
        Adopt(next);
    }

    private void StopForMove()
    {
        try
        {
            StopRings(_link);
        }
        catch (VhostUserException lost) when (lost.Failure == VhostUserFailure.Lost && CanReconnect)
        {
            Lose(lost);
            throw;
        }
    }

    private void HandOver(BackEndLink next)
    {
        if (_link.Has(ProtocolFeatures.DeviceState))
            StateChannel.Load(next.Channel, StateChannel.Save(_link.Channel, _options.ReplyTimeout), _options.ReplyTimeout);
        Resume(next);
    }

    /// <summary>Nobody has taken the device over, so it stays where it was.</summary>
    private void GoOn()
    {
        if ((_status & DeviceStatus.DriverOk) == 0)
            return;
        Tell(static (link, self) => self.Start(link, self.WhereItStopped), this);
        WakeBothEnds();
    }

    /// <summary>What the back-end that had it last said when it was stopped: another position in the same session would tell ours that
    /// another driver has laid the ring out, and what is in flight in it is void. One that has not said it is like one that has died.</summary>
    private QueueSnapshot WhereItStopped(int index, FrontEndRing ring) =>
        ring.StoppedAt is { } at ? QueueSnapshot.FromVringBase(at, IsPacked) : WhereToResume(index, ring);
}

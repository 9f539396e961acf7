using System.Diagnostics.CodeAnalysis;
using System.Net;
using Microsoft.Extensions.Logging;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Nbd;

// The connection's life: it is lost and found again, and what was under way goes on.
//
//   in ──lost──► away ──pause──► connecting, shaking hands ──► in: what is not answered is sent again
//                 ▲                        │
//                 └── no, or nonsense ─────┘   the pause doubles until it has been in for some seconds
public sealed partial class NbdBackend
{
    private NbdLink? _link; // none while the server is away
    private EventLoop? _loop;
    private ILoopTimer? _clock;
    private IEventRegistration? _registration;
    private bool _isUp = true, _isBlocked, _waitsForRoom, _hasGivenUp, _isAwayTold;
    private int _failures, _attempts;
    private long _nextAttempt, _handshakeEnds, _upSince, _heard; // when it came back, and answered last
    private string? _lastReason;

    /// <summary>Whether requests go to the server now.</summary>
    [MemberNotNullWhen(true, nameof(_link))]
    public bool IsUp => _isUp && _link is not null;

    /// <summary>Connects, and waits until the export is entered.</summary>
    /// <param name="uri">Where it is.</param>
    /// <param name="options">How patient to be.</param>
    /// <param name="log">Is told when the server comes and goes.</param>
    /// <exception cref="NbdException">It cannot be: why.</exception>
    public static NbdBackend Connect(NbdUri uri, NbdBackendOptions? options = null, ILogger? log = null)
    {
        IReadOnlyList<EndPoint> addresses = uri.Resolve();
        NbdException? last = null;
        foreach (EndPoint address in addresses)
        {
            try
            {
                return new NbdBackend(uri, addresses, Enter(address, uri.Export), options, log);
            }
            catch (LinuxException refused)
            {
                last = new NbdException(NbdFailure.Unreachable, refused.Message, refused);
            }
            catch (NbdException refused)
            {
                last = refused;
            }
        }

        throw last ?? new NbdException(NbdFailure.Address, $"{uri.Host} has no address");
    }

    /// <summary>Joins the loop in which the device lives. Without one, somebody calls <see cref="Pump"/>.</summary>
    public void Join(EventLoop loop)
    {
        _loop = loop;
        _clock = loop.CreateTimer(LookAtClock);
        if (_link is not null)
            _registration = loop.Register(_link.Socket.Descriptor, EpollEvents.In, this);
        LookAtClock();
    }

    /// <inheritdoc/>
    public void OnReady(EpollEvents ready) => Progress();

    /// <inheritdoc/>
    public void TakeTurn() => Progress(receives: false);

    /// <summary>Sends what was submitted, and completes what has been answered.</summary>
    /// <param name="patience">How long to wait for something to happen.</param>
    public void Pump(TimeSpan patience)
    {
        if (_link is null)
            Thread.Sleep(TimeSpan.FromMilliseconds(Math.Clamp(_nextAttempt - Environment.TickCount64, 0, (long)patience.TotalMilliseconds)));
        else if (_isBlocked || !IsUp && _link.WaitsForRoom)
            Readiness.WaitWritable(_link.Socket.Descriptor, TimeSpan.FromMilliseconds(10)); // and then look for answers, too
        else if (_sender.IsIdle)
            Readiness.WaitReadable(_link.Socket.Descriptor, patience);
        Progress();
        LookAtClock();
    }

    /// <summary>Waits for the answers, but not as long as at other times: the loop, and all queues with it, wait for us.</summary>
    /// <inheritdoc/>
    public void Finish(int queue)
    {
        while (!TryFinish(queue, waitsWhileAway: true))
        {
            for (int i = 0; i < _requests.Count; i++)
            {
                if (_requests[i].Operation is { } operation && (operation.Kind == BlockOperationKind.Flush ? _flushes.IsBusyWith(queue) : operation.Queue == queue))
                    Fail(_requests[i], "the queue stops, and the server does not answer");
            }
        }
    }

    /// <summary>What the server has is waited for while it answers. While it is away nothing has our memory, and another device may ask when it is back.</summary>
    /// <inheritdoc/>
    public void Suspend(int queue)
    {
        if (TryFinish(queue, waitsWhileAway: false))
            return;
        for (int i = 0; i < _requests.Count; i++)
        {
            if (_requests[i].Operation is { } operation && operation.Queue == queue && operation.Kind != BlockOperationKind.Flush)
            {
                Release(_requests[i]);
                operation.Abandon();
            }
        }

        if (!_flushes.IsBusyWith(queue))
            return;
        if (FlushUnderWay() is { } flush)
            Release(flush); // it may be that of other queues, too: begun anew for these
        if (_flushes.Abandon(queue))
            Flush();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (IsUp && _sender.IsIdle)
        {
            var goodBye = new NbdRequest(0);
            goodBye.Ask(NbdCommand.Disconnect, 0, 0);
            _sender.Add(goodBye);
            try
            {
                _sender.Send(_link.Socket);
            }
            catch (LinuxException)
            {
                // Gone before us.
            }
        }

        _clock?.Disarm();
        _registration?.Dispose();
        _link?.Dispose();
        _link = null;
    }

    /// <summary>Waits until nothing of a queue is under way.</summary>
    /// <returns>False when that is in vain. No request is with a server then, so nothing touches the queue's memory any more.</returns>
    private bool TryFinish(int queue, bool waitsWhileAway)
    {
        long start = Environment.TickCount64;
        for (_heard = start; IsBusyWith(queue);)
        {
            if (!IsUp && (_hasGivenUp || !waitsWhileAway))
                return false;
            Pump(TimeSpan.FromMilliseconds(100));
            long end = !IsUp ? start + StopMilliseconds : Math.Min(_heard + _silence, start + LongestStop);
            if (Environment.TickCount64 < end)
                continue;
            _hasGivenUp = true; // the next queue need not wait for the same
            if (IsUp)
                Lose("a queue stops, and the server does not answer");
        }

        return true;
    }

    private static NbdLink Enter(EndPoint address, string export)
    {
        long end = Environment.TickCount64 + HandshakeMilliseconds;
        NbdLink link = NbdLink.Begin(address, export);
        try
        {
            while (!link.Advance())
            {
                TimeSpan left = TimeSpan.FromMilliseconds(end - Environment.TickCount64);
                bool isReady = left > TimeSpan.Zero
                    && (link.WaitsForRoom ? Readiness.WaitWritable(link.Socket.Descriptor, left) : Readiness.WaitReadable(link.Socket.Descriptor, left));
                if (!isReady)
                    throw HandshakeTookTooLong();
            }

            return link;
        }
        catch
        {
            link.Dispose();
            throw;
        }
    }

    private static NbdException HandshakeTookTooLong() => new(NbdFailure.Unreachable, $"no handshake within {HandshakeMilliseconds / 1000} s");

    private void Progress(bool receives = true)
    {
        if (_link is null)
            return;
        try
        {
            if (!IsUp && _link.Advance())
                GoOn();
            if (IsUp)
            {
                if (receives)
                    _receiver.Receive(_link.Socket);
                _isBlocked = !_sender.Send(_link.Socket);
            }

            WaitFor(room: _isBlocked || !IsUp && _link.WaitsForRoom);
        }
        catch (Exception broken) when (broken is NbdException or LinuxException)
        {
            Lose(broken.Message);
        }
    }

    private void WaitFor(bool room)
    {
        if (room != _waitsForRoom)
            _registration?.Update(room ? EpollEvents.In | EpollEvents.Out : EpollEvents.In);
        _waitsForRoom = room;
    }

    /// <summary>The server is back: what is not answered begins anew.</summary>
    private void GoOn()
    {
        NbdExport export = _link!.Export!;
        if (export.Size < _export.Size || export.Has(NbdFlags.ReadOnly) != _export.Has(NbdFlags.ReadOnly) || export.MinimumBlock > Traits.LogicalBlockSize)
            throw new NbdException(NbdFailure.Changed, $"the export came back as another ({export.Size} bytes, {export.Flags}, blocks of {export.MinimumBlock}; it had {_export.Size} bytes, {_export.Flags})");
        bool isLonger = export.Size > _export.Size;
        (_export, _isUp, _hasGivenUp) = (export, true, false);
        _upSince = _heard = Environment.TickCount64;
        _receiver.Clear();
        if (_isAwayTold)
            _log.Back(_uri, InFlight);
        _isAwayTold = false;
        foreach (NbdRequest request in _requests)
        {
            if (request.Operation is not { } operation)
                continue;
            request.Begin(operation, request.Since);
            Send(request);
        }

        _clock?.Disarm(); // it was set for the handshake
        WatchTheClock();
        if (isLonger)
            LengthChanged?.Invoke();
    }

    private void Lose(string reason)
    {
        bool wasUp = IsUp;
        long now = Environment.TickCount64;
        _registration?.Dispose();
        _registration = null;
        _link?.Abort();
        (_link, _isUp, _isBlocked) = (null, false, false);
        _sender.Clear();
        if (wasUp && now - _upSince >= _settled)
            (_failures, _lastReason) = (0, null); // one that comes and goes is not worth a line each time
        _nextAttempt = now + Math.Min(FirstPause << Math.Min(_failures++, 10), LongestPause);
        if (reason != _lastReason)
        {
            _log.Away(_uri, reason, InFlight);
            _isAwayTold = true;
        }

        _lastReason = reason;
        if (wasUp && _answered > _flushed)
            LoseUnflushed();
        LookAtClock();
    }

    /// <summary>Every flush that is under way was to make stable what may be lost now. If there is none, the next one has to say it.</summary>
    private void LoseUnflushed()
    {
        _flushed = _answered;
        _log.UnflushedLost(_uri);
        NbdRequest? flush = FlushUnderWay();
        _isLossUntold = flush is null;
        for (; flush is not null; flush = FlushUnderWay()) // and those that had waited for it
            End(flush, BlockStatus.IoError);
    }

    private NbdRequest? FlushUnderWay()
    {
        foreach (NbdRequest request in _requests)
        {
            if (request.Operation?.Kind == BlockOperationKind.Flush)
                return request;
        }

        return null;
    }

    private void Attempt()
    {
        try
        {
            _link = NbdLink.Begin(_addresses[_attempts++ % _addresses.Count], _uri.Export);
            _handshakeEnds = Environment.TickCount64 + HandshakeMilliseconds;
            _registration = _loop?.Register(_link.Socket.Descriptor, EpollEvents.In | EpollEvents.Out, this);
            _waitsForRoom = true;
        }
        catch (LinuxException refused)
        {
            Lose(refused.Message);
        }
    }

    private void LookAtClock()
    {
        long now = Environment.TickCount64;
        if (_link is null && now >= _nextAttempt)
            Attempt();
        else if (_link is not null && !IsUp && now >= _handshakeEnds)
            Lose(HandshakeTookTooLong().Message);
        FailOverdue(now);
        WatchTheClock();
    }

    private void FailOverdue(long now)
    {
        if (_timeout == 0)
            return;
        for (int i = 0; i < _requests.Count; i++)
        {
            if (_requests[i].Operation is null || now - _requests[i].Since < _timeout)
                continue;
            if (IsUp)
                Lose($"no answer within {_timeout / 1000.0} s"); // its memory may not be touched any more
            if (_requests[i].Operation is not null)
                Fail(_requests[i], $"no answer within {_timeout / 1000.0} s");
        }
    }

    private void Fail(NbdRequest request, string reason)
    {
        Tell(request.Operation!, NbdError.None, reason);
        End(request, BlockStatus.IoError);
    }

    /// <summary>Sets the alarm to what is due first. While it is set already and the server is there, it may go off too early, but not too late.</summary>
    private void WatchTheClock()
    {
        if (_clock is null || IsUp && _clock.IsArmed)
            return;
        long now = Environment.TickCount64, due = IsUp ? long.MaxValue : _link is null ? _nextAttempt : _handshakeEnds;
        if (_timeout > 0 && InFlight > 0)
        {
            foreach (NbdRequest request in _requests)
                due = request.Operation is null ? due : Math.Min(due, request.Since + _timeout);
        }

        if (due < long.MaxValue)
            _clock.Arm(TimeSpan.FromMilliseconds(Math.Max(due - now, 0)));
    }

    private bool IsBusyWith(int queue)
    {
        foreach (NbdRequest request in _requests)
        {
            if (request.Operation is { } operation && operation.Queue == queue)
                return true;
        }

        return _flushes.IsBusyWith(queue);
    }
}

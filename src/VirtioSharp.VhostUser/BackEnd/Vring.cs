using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Split;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>One ring of a session, put together from messages in any order; runs while it is started and enabled.</summary>
/// <remarks>
/// <code>
///           SET_VRING_KICK,                       started by the kick descriptor (never disabled by it),
///           or VRING_KICK in-band                 or by the first kick where kicks are messages;
///  stopped ────────────────► started              stopped by GET_VRING_BASE or a reset;
///          ◄────────────────                      enabled and disabled by SET_VRING_ENABLE, in either state
///           GET_VRING_BASE
/// </code>
/// </remarks>
internal sealed class Vring(int index, DeviceHost host, EventLoop loop, MemoryTable memory) : IReadyHandler, IDeferred, IDisposable
{
    private EventFd? _kick;
    private IEventRegistration? _registration;
    private EventFd? _call;
    private EventFd? _error;
    private VringAddress? _address;
    private ulong _kicks;
    private QueueSnapshot _at;
    private bool _hasRun;
    private ulong _losses = MappedRegion.LossCount;
    private bool _isRefused; // and whoever watches the error descriptor knows

    public int Index { get; } = index;

    /// <summary>Entries, as the front-end said; 0 before.</summary>
    public int Size { get; private set; }

    /// <summary>Whether the device may use it, once it is started.</summary>
    public bool IsEnabled { get; private set; }

    /// <summary>Whether it was started: by a kick descriptor, or in-band.</summary>
    public bool IsStarted { get; private set; }

    /// <summary>Whether the device runs on it.</summary>
    public bool IsRunning { get; private set; }

    /// <summary>Where its device area is in the log of dirty pages, if what is written there is to be noted.</summary>
    public GuestAddress? Log => _address is { } address && (address.Flags & VringAddress.LogFlag) != 0 ? new GuestAddress(address.Log) : null;

    /// <summary>The way of its notifications for which it has no descriptor (INBAND_NOTIFICATIONS).</summary>
    public Action<BackEndRequest, int>? InBand { get; set; }

    /// <summary>Called when the ring is kicked again and again and yet was never written to.</summary>
    public Action? KickedInVain { get; set; }

    /// <summary>Called when memory of a peer, this one's or another's, turned out to be gone since the last turn.</summary>
    public Action? MemoryLost { get; set; }

    /// <summary>Whether everything is there that it takes to run.</summary>
    public bool CanRun => IsStarted && IsEnabled && Size > 0 && _address is not null;

    public void SetSize(uint size)
    {
        if (size is 0 or > SplitLayout.MaxQueueSize)
            throw new TransportException($"ring {Index}: num = {size} is not in 1…{SplitLayout.MaxQueueSize}");
        Size = (int)size;
    }

    /// <summary>Where to go on: 16 bits of available index, or the two halves of a packed ring.</summary>
    /// <returns>Whether it has run in this session, and stopped elsewhere.</returns>
    public bool SetBase(uint number, bool packed)
    {
        if (!packed && number > ushort.MaxValue)
            throw new TransportException($"ring {Index}: base = 0x{number:x} is more than 16 bits");
        var at = QueueSnapshot.FromVringBase(number, packed);
        bool moves = _hasRun && !IsRunning && at != _at;
        _at = at;
        return moves;
    }

    /// <summary>Where it goes on is told together with what is in flight, so both are believed, wherever it stopped.</summary>
    public void ForgetWhereItStopped() => _hasRun = false;

    public void SetAddress(in VringAddress address) => (_address, _isRefused) = (address, false);

    public void SetEnabled(bool enabled) => (IsEnabled, _isRefused) = (enabled, false);

    /// <summary>Signals the new descriptor if the ring runs: what was used until this message came was told to the one before,
    /// where nobody may listen any more. A driver does not mind an interrupt too many.</summary>
    public void SetCall(EventFd? call)
    {
        Replace(ref _call, call);
        if (IsRunning)
            SignalCall();
    }

    public void SetError(EventFd? error) => Replace(ref _error, error);

    /// <summary>Starts the ring. A kick may have come before its descriptor did, so the ring is looked at once in any case.</summary>
    /// <param name="kick">Null when kicks come in-band.</param>
    public void SetKick(EventFd? kick)
    {
        DropKick();
        (IsStarted, _isRefused) = (true, false);
        if (kick is null)
            return;
        _kick = kick; // owned from here on, also if it cannot be registered
        _registration = loop.Register(kick.Descriptor, EpollEvents.In, this);
    }

    /// <summary>Runs the device on the ring, from where it stands.</summary>
    /// <exception cref="QueueException">The ring cannot be: the message names the field.</exception>
    /// <exception cref="UntranslatedException">It cannot be yet.</exception>
    /// <param name="isTranslated">Whether its addresses are the IOMMU's, not the front-end's.</param>
    public void Run(bool isTranslated)
    {
        VringAddress address = _address!.Value;
        QueueLayout layout = isTranslated
            ? ToLayout(address)
            : new(Size, ToGuest(address.Descriptor, "descriptor"), ToGuest(address.Available, "available"), ToGuest(address.Used, "used"));
        host.EnableQueue(Index, layout, _at);
        (IsRunning, _hasRun, _isRefused) = (true, true, false);
        _kicks = 0;
        loop.Defer(this);
    }

    /// <summary>Whether it lies, or would if it could run, in some memory behind an IOMMU.</summary>
    public bool LiesIn(in MemoryRegion memory) => CanRun && host.LiesIn(ToLayout(_address!.Value), memory);

    /// <summary>Takes the device off the ring, and notes where it stood.</summary>
    /// <param name="leaveInFlight">Whether what is in flight may stay noted for whoever runs on it next.</param>
    public void Pause(bool leaveInFlight = false)
    {
        if (!IsRunning)
            return;
        _at = host.DisableQueue(Index, leaveInFlight);
        IsRunning = false;
    }

    /// <summary>Stops the ring.</summary>
    /// <returns>Where to go on from.</returns>
    public QueueSnapshot Stop(bool leaveInFlight = false)
    {
        Pause(leaveInFlight);
        DropKick();
        IsStarted = false;
        return _at;
    }

    /// <summary>Back to how a new session finds it, but for the call and error descriptors, which the front-end does not send again.</summary>
    public void Reset()
    {
        Stop();
        (IsEnabled, _address, _at, Size, _hasRun) = (false, null, default, 0, false);
    }

    public void SignalCall() => Signal(_call, BackEndRequest.VringCall);

    public void SignalError() => Signal(_error, BackEndRequest.VringErr);

    /// <summary>It cannot run. Said once, however often that is tried, until it has run or the front-end changes it.</summary>
    public void SignalRefusal()
    {
        if (!_isRefused)
            SignalError();
        _isRefused = true;
    }

    /// <summary>A kick.</summary>
    public void OnReady(EpollEvents ready)
    {
        _kick!.TryDrain(out ulong kicks);
        Kicked(kicks);
    }

    /// <summary>Kicks have come, by whichever way.</summary>
    public void Kicked(ulong kicks)
    {
        if (host.Notify(Index))
            loop.Defer(this);

        // One kick may be the front-end's own (QEMU sends it at every start). A second one is the driver's, who has
        // moved the index before it; if none of that is to be seen here, we do not look at the guest's memory.
        _kicks += kicks;
        if (_kicks > 1 && IsRunning && host.IsUntouched(Index))
            KickedInVain?.Invoke();
        LookForLosses();
    }

    /// <summary>Looks for work after the loop's other work, if it runs.</summary>
    public void LookSoon()
    {
        if (IsRunning)
            loop.Defer(this);
    }

    /// <summary>Goes on after a full turn.</summary>
    public void TakeTurn()
    {
        if (IsRunning && host.Service(Index))
            loop.Defer(this);
        LookForLosses();
    }

    /// <summary>The session ends. What is in flight stays noted, if it is, as if the daemon had been killed: the front-end may come back to this one or another.</summary>
    public void Dispose()
    {
        Stop(leaveInFlight: true);
        SetCall(null);
        SetError(null);
    }

    private void LookForLosses()
    {
        ulong losses = MappedRegion.LossCount;
        if (losses == _losses)
            return;
        _losses = losses;
        MemoryLost?.Invoke();
    }

    /// <summary>Addresses that stand for themselves: an IOMMU's.</summary>
    private QueueLayout ToLayout(in VringAddress address) => new(Size, new(address.Descriptor), new(address.Available), new(address.Used));

    private GuestAddress ToGuest(ulong user, string area) => memory.TryFromUser(user, out GuestAddress guest)
        ? guest
        : throw new QueueException($"ring {Index}: the {area} area at user address 0x{user:x} is not in shared memory");

    private void Signal(EventFd? descriptor, BackEndRequest inBand)
    {
        if (descriptor is not null)
            descriptor.Signal();
        else
            InBand?.Invoke(inBand, Index);
    }

    private void DropKick()
    {
        _registration?.Dispose();
        _registration = null;
        Replace(ref _kick, null);
    }

    private static void Replace(ref EventFd? field, EventFd? value)
    {
        field?.Dispose();
        field = value;
    }
}

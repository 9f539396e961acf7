using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>All rings of a session, and the device that runs on them as soon as one can run.</summary>
/// <remarks>
/// Front-ends report few of a driver's steps (QEMU's rng never sends DRIVER_OK), so the steps are taken here when the
/// first ring has everything it needs. A ring that the guest laid out wrongly only stops that ring.
/// </remarks>
internal sealed class RingSet : IDisposable
{
    private static readonly TimeSpan DoubtFor = TimeSpan.FromSeconds(3);

    private readonly DeviceHost _host;
    private readonly SharedMemory _memory;
    private readonly IotlbMisses _misses;
    private readonly SessionRecorder _recorder;
    private readonly ILogger _log;
    private readonly Vring[] _rings;
    private readonly ILoopTimer _doubt;
    private InflightBuffer? _inflight;
    private bool _isNegotiated;

    public RingSet(DeviceHost host, EventLoop loop, SharedMemory memory, IotlbMisses misses, SessionRecorder recorder, ILogger log)
    {
        (_host, _memory, _misses, _recorder, _log) = (host, memory, misses, recorder, log);
        _rings = [.. Enumerable.Range(0, host.Traits.Queues.Count).Select(index => new Vring(index, host, loop, memory.Table) { KickedInVain = DoubtMemory, MemoryLost = TellOfLoss })];
        _doubt = loop.CreateTimer(ExplainPrivateMemory);
    }

    public int Count => _rings.Length;

    /// <summary>What the driver accepted.</summary>
    public FeatureSet Features { get; private set; }

    public bool IsPacked => Features.Has(Spec.Features.RingPacked);

    /// <summary>Whether a ring may stop with requests in flight, which stay noted (GET_VRING_BASE_INFLIGHT).</summary>
    public bool LeavesInFlight { get; set; }

    /// <summary>The way of notifications that have no descriptor: in-band, or null.</summary>
    public Action<BackEndRequest, int>? InBand
    {
        get => _rings[0].InBand;
        set
        {
            foreach (Vring ring in _rings)
                ring.InBand = value;
        }
    }

    /// <summary>Called when memory that the front-end shares was cut short. What the device did there since is lost.</summary>
    public Action? MemoryLost { get; set; }

    /// <summary>Whether that is so. Costs nothing while nobody's memory was ever cut short.</summary>
    public bool HasLostMemory => MappedRegion.LossCount > 0 && (_memory.HasLost || _inflight?.HasLost == true);

    /// <summary>Whether every ring is stopped: the device is suspended.</summary>
    public bool IsSuspended => !_rings.Any(ring => ring.IsStarted);

    public Vring this[int index] => _rings[index];

    /// <summary>New features. A ring that runs goes on with them from where it stood.</summary>
    /// <returns>False when a ring should run but cannot.</returns>
    public bool Negotiate(FeatureSet features)
    {
        if (features != Features)
        {
            Pause();
            _host.Reset();
            Features = features;
        }

        _isNegotiated = true;
        _recorder.Features(features);
        return RunAll();
    }

    /// <summary>Takes the device off every ring, until <see cref="RunAll"/>.</summary>
    public void Pause()
    {
        foreach (Vring ring in _rings)
            ring.Pause();
    }

    /// <summary>Takes the device off the rings that lie in some memory, or hold requests that do.</summary>
    public void LetGoOf(MemoryRegion memory)
    {
        foreach (Vring ring in _rings)
            if (ring.IsRunning && _host.IsUsing(ring.Index, memory))
                ring.Pause();
    }

    /// <summary>Whether a ring that runs, or is to run, lies in some memory.</summary>
    public bool LieIn(MemoryRegion memory) => _rings.Any(ring => ring.LiesIn(memory));

    /// <summary>What a ring has waited for is there, or refused.</summary>
    public void GoOn(int index)
    {
        TryRun(_rings[index]);
        _rings[index].LookSoon();
    }

    /// <summary>Enables every ring, for a front-end that has no message for it.</summary>
    public void EnableAll()
    {
        foreach (Vring ring in _rings)
            ring.SetEnabled(true);
    }

    /// <summary>Starts a ring, or gives one that is started another kick descriptor.</summary>
    /// <returns>False when it should run but cannot.</returns>
    public bool Start(Vring ring, EventFd? kick)
    {
        if (!ring.IsStarted)
            _recorder.RingStarts();
        return Change(ring, started => started.SetKick(kick));
    }

    /// <summary>Changes a ring, off the device, and runs it again if that is possible now.</summary>
    /// <returns>False when it should run but cannot.</returns>
    public bool Change(Vring ring, Action<Vring> change)
    {
        ring.Pause();
        change(ring);
        return TryRun(ring);
    }

    /// <summary>Enables or disables a ring. Front-ends disable one before they stop it, so what is in flight may be left already now.</summary>
    /// <returns>False when it should run but cannot.</returns>
    public bool Enable(Vring ring, bool enable)
    {
        ring.Pause(LeavesInFlight);
        ring.SetEnabled(enable);
        return TryRun(ring);
    }

    /// <summary>Stops a ring.</summary>
    /// <returns>Where to go on from.</returns>
    public QueueSnapshot Stop(Vring ring)
    {
        QueueSnapshot at = ring.Stop(LeavesInFlight);
        _misses.Forget(ring.Index);
        if (IsSuspended)
            ForgetTranslations();

        // The driver is gone from its last ring: what it broke shall not keep the next one waiting.
        if ((_host.Status & DeviceStatus.NeedsReset) != 0 && IsSuspended)
            _host.Reset();
        return at;
    }

    /// <summary>From now on the rings note here what is in flight, and go on with what is noted.</summary>
    /// <returns>False when a ring should run but cannot.</returns>
    public bool Track(InflightBuffer inflight)
    {
        foreach (Vring ring in _rings)
        {
            ring.Pause();
            ring.ForgetWhereItStopped();
            _host.Track(ring.Index, null);
        }

        _inflight?.Dispose();
        _inflight = inflight;
        if (!inflight.IsSealed && _recorder.Fault("MemoryNotSealed"))
            _log.MemoryNotSealed();
        return RunAll();
    }

    /// <summary>Sets where a ring goes on.</summary>
    public void SetBase(Vring ring, uint number)
    {
        // Elsewhere than where it stopped: this is another driver's ring, and nothing in it is in flight.
        if (ring.SetBase(number, IsPacked))
            _inflight?.Forget(ring.Index, IsPacked);
    }

    /// <summary>Stops the device and every ring. Where a ring stood may still be asked for: QEMU 7.2 says status 0 first, also when a machine only pauses.</summary>
    public void StopAll()
    {
        foreach (Vring ring in _rings)
            ring.Stop();
        ForgetTranslations();
        _host.Reset();
    }

    /// <summary>Back to the beginning: the device, and every ring.</summary>
    public void Reset()
    {
        foreach (Vring ring in _rings)
        {
            ring.Reset();
            _inflight?.Forget(ring.Index, IsPacked);
        }

        ForgetTranslations();
        _host.Reset();
    }

    /// <summary>After a change of memory: rings that run look what they have to do, others run if they can now.</summary>
    /// <returns>False when one should run but cannot.</returns>
    public bool Resume()
    {
        foreach (Vring ring in _rings)
            ring.LookSoon();
        return RunAll();
    }

    /// <summary>Runs every ring that has all it needs.</summary>
    /// <returns>False when one should run but cannot.</returns>
    public bool RunAll()
    {
        bool all = true;
        foreach (Vring ring in _rings)
            all &= TryRun(ring);
        return all;
    }

    /// <summary>What was said in-band over a socket that is no more may be lost, so it is said again. An interrupt too many does no harm.</summary>
    public void SayAgain()
    {
        foreach (Vring ring in _rings)
            if (ring.IsRunning)
                ring.SignalCall();
        if ((_host.Status & DeviceStatus.NeedsReset) != 0)
            SignalErrors();
    }

    /// <summary>The device gave up: whoever watches the error descriptors is told.</summary>
    public void SignalErrors()
    {
        foreach (Vring ring in _rings)
            ring.SignalError();
    }

    public void Dispose()
    {
        _doubt.Disarm();
        foreach (Vring ring in _rings)
            ring.Dispose();
        _inflight?.Dispose();
    }

    private bool TryRun(Vring ring)
    {
        if (ring.IsRunning || !ring.CanRun)
            return true;
        if (_inflight is not null && !_isNegotiated)
            return true; // what is noted there was noted of rings of one format, which is not known yet
        if (_memory.Table.Count == 0)
        {
            if (_recorder.Fault("NoMemory"))
                _log.NoMemory();
            return false;
        }

        try
        {
            InflightRegion? region = _inflight?.RegionOf(ring.Index, IsPacked);
            bool goesOn = region is { IsNew: false };
            StartDevice();
            _host.Track(ring.Index, region, ring.Log);
            ring.Run(isTranslated: _memory.Iotlb is not null);
            if (goesOn)
                ring.SignalCall(); // whoever died may not have told of the last it completed
            _recorder.RingRuns(ring.Index, ring.Size);
            return true;
        }
        catch (UntranslatedException missing) when (_misses.Ask(ring.Index, missing.Address, missing.Access))
        {
            return true; // it runs as soon as it can
        }
        catch (Exception refused) when (refused is QueueException or UntranslatedException)
        {
            if (_recorder.Fault("RingRefused"))
                _log.RingRefused(ring.Index, refused.Message);
            ring.SignalRefusal();
            return false;
        }
    }

    /// <summary>No ring is started. A front-end does not say what becomes of translations that nobody uses (QEMU stops listening to its IOMMU).</summary>
    private void ForgetTranslations()
    {
        _memory.Iotlb?.Clear();
        _misses.Clear();
    }

    /// <summary>A ring is kicked, and nothing is seen in it. QEMU 11 kicks more than once itself, so a moment is given for a request to come.</summary>
    private void DoubtMemory()
    {
        if (!_doubt.IsArmed)
            _doubt.Arm(DoubtFor);
    }

    private void TellOfLoss()
    {
        if (HasLostMemory)
            MemoryLost?.Invoke();
    }

    private void ExplainPrivateMemory()
    {
        bool isUntouched = _rings.Any(ring => ring.IsRunning) && _rings.All(ring => !ring.IsRunning || _host.IsUntouched(ring.Index));
        if (isUntouched && !_recorder.HasServed && _recorder.Fault("MemoryNotShared"))
            _log.MemoryNotShared();
    }

    private void StartDevice()
    {
        if ((_host.Status & DeviceStatus.DriverOk) != 0)
            return;
        const DeviceStatus Found = DeviceStatus.Acknowledge | DeviceStatus.Driver;
        _host.WriteStatus(Found);
        _host.WriteDriverFeatures(Features);
        _host.WriteStatus(Found | DeviceStatus.FeaturesOk);
        _host.WriteStatus(Found | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        _log.DriverReady(Features.ToString());
    }
}

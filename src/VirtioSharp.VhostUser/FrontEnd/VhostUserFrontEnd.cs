using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>The driver's way to a device in another process: the front-end of vhost-user, as a VMM is one for its guest.</summary>
/// <remarks>
/// A driver's steps become messages in QEMU's order. What a driver sets up before DRIVER_OK is collected and told then:
/// features, in-flight buffer, memory, rings. One thread, as for every transport; the back-end's own requests are served whenever
/// that thread waits here.
/// </remarks>
public sealed partial class VhostUserFrontEnd : IDriverTransport
{
    /// <summary>What a driver is not shown: bit 30 is the protocol's, bit 26 is for migration, and an eventfd carries no data.
    /// A ring cannot be reset alone. An IOMMU is this end's, and the driver's addresses are what it translates.</summary>
    private static readonly FeatureSet Hidden =
        new FeatureSet(VhostUserFeatures.Protocol | VhostUserFeatures.LogAll) | Features.NotificationData | Features.NotifyConfigData | Features.RingReset | Features.AccessPlatform;

    private string? _path;
    private readonly VhostUserFrontEndOptions _options;
    private readonly DriverMemory _memory;
    private readonly FrontEndRing?[] _rings;
    private readonly WrittenConfiguration _written = new();
    private readonly BackEndEvents _events;
    private BackEndLink _link;
    private KeptInflightBuffer? _inflight;
    private bool _askedInflight; // since the last reset; that it needs none is an answer, too
    private FeatureSet? _accepted;
    private DeviceStatus _status;
    private uint _configurationChanges, _configurationChangesTaken;

    /// <summary>Greets the back-end at the other end of a connection.</summary>
    /// <param name="connection">Owned from here on. A descriptor that this program was started with: <see cref="UnixSocket.Adopt"/>.</param>
    /// <param name="device">What kind of device it is: the protocol does not tell.</param>
    /// <param name="options">How to deal with it.</param>
    /// <exception cref="VhostUserException">The back-end fails.</exception>
    /// <exception cref="ArgumentException">The options exclude each other, or are none.</exception>
    public VhostUserFrontEnd(UnixSocket connection, DeviceId device, VhostUserFrontEndOptions? options = null)
        : this(connection, path: null, device, options ?? new())
    {
    }

    private VhostUserFrontEnd(UnixSocket connection, string? path, DeviceId device, VhostUserFrontEndOptions options)
    {
        (_path, _options, DeviceId) = (path, options, device);
        try
        {
            options.MustBePossible();
        }
        catch
        {
            connection.Dispose();
            throw;
        }

        _events = new BackEndEvents(OnConfigurationChanged, OnMissed, OnAccessFailed, OnNotified);
        _link = BackEndLink.Open(connection, options, options.Accepted, _events);
        try
        {
            _memory = new DriverMemory(options.MemoryBytes);
            _rings = new FrontEndRing?[_link.Offer.Queues ?? DeviceShape.LeastQueues(device)];
            _poll = new PollSet(FirstRingSlot + 2 * _rings.Length);
            Watch(_link);
        }
        catch
        {
            _link.Dispose();
            _memory?.Dispose();
            throw;
        }
    }

    /// <summary>What the back-end said of itself.</summary>
    public BackEndOffer Offer => _link.Offer;

    /// <summary>The back-end's process, as the kernel names it; 0 when it lives outside our pid namespace, or has left.</summary>
    /// <remarks>It is the process that listened, which need not be the one that serves.</remarks>
    public int BackEndProcess => _lost is null ? _link.Channel.Peer.ProcessId : 0;

    /// <summary>The parts of the protocol that are in use.</summary>
    public ProtocolFeatures Protocol => _link.Protocol;

    /// <inheritdoc/>
    public DeviceId DeviceId { get; }

    /// <inheritdoc/>
    public int QueueCount => _rings.Length;

    /// <inheritdoc/>
    public DmaArena Dma => _memory.Dma;

    /// <inheritdoc/>
    public TimeProvider Time => _options.Time;

    private bool IsPacked => _accepted is { } accepted && accepted.Has(Features.RingPacked);

    /// <summary>Connects to a back-end that listens, and greets it.</summary>
    /// <param name="path">Its socket.</param>
    /// <param name="device">What kind of device it is: the protocol does not tell.</param>
    /// <param name="options">How to deal with it.</param>
    /// <exception cref="VhostUserException">Nobody listens there, or accepts (the inner exception says why), or the back-end fails.</exception>
    /// <exception cref="ArgumentException">The options exclude each other, or are none.</exception>
    public static VhostUserFrontEnd Connect(string path, DeviceId device, VhostUserFrontEndOptions? options = null)
    {
        options ??= new();
        return new(ConnectTo(path, options.ReplyTimeout), path, device, options);
    }

    /// <inheritdoc/>
    public FeatureSet ReadDeviceFeatures() => new FeatureSet(Call(static (link, _) => link.Channel.Ask<ulong>(FrontEndRequest.GetFeatures), 0)) - Hidden - _options.WithheldFeatures;

    /// <inheritdoc/>
    public void WriteDriverFeatures(FeatureSet features)
    {
        _accepted = features;
        Tell(static (link, accepted) => link.SetFeatures(accepted), features);
    }

    /// <inheritdoc/>
    /// <remarks>Without STATUS it is what the driver wrote, and NEEDS_RESET once the back-end has signalled an error descriptor.</remarks>
    public DeviceStatus ReadStatus()
    {
        if (!_link.Has(ProtocolFeatures.Status) || (_lost is not null && _status == DeviceStatus.Reset))
            return _status;
        ulong status = Call(static (link, _) => link.Channel.Ask<ulong>(FrontEndRequest.GetStatus), 0);
        return status <= byte.MaxValue
            ? (DeviceStatus)status
            : throw _link.Channel.Distrust(FrontEndRequest.GetStatus, $"GET_STATUS: status = 0x{status:x} is more than 8 bits");
    }

    /// <inheritdoc/>
    public void WriteStatus(DeviceStatus status)
    {
        DeviceStatus before = _status;
        _status = status;
        if (status == DeviceStatus.Reset)
            Reset();
        else if ((status & ~before & DeviceStatus.DriverOk) != 0)
            Tell(static (link, self) => self.Start(link, from: null), this);
        else
            Tell(static (link, now) => SetStatus(link, now), status);
    }

    /// <inheritdoc/>
    /// <remarks>Always from the start of configuration space: libvhost-user pays no attention to the offset.</remarks>
    public void ReadConfiguration(uint offset, Span<byte> destination)
    {
        RequireConfiguration();
        ReadOnlySpan<byte> space = Call(static (link, at) => ConfigurationSpace.Read(link.Channel, at.DeviceId, at.End), (DeviceId, End: EndOf(offset, destination.Length)));
        space.Slice((int)offset, destination.Length).CopyTo(destination);
    }

    /// <summary>Reads configuration space as far as the back-end answers, at most 256 bytes. A back-end may answer for more than its
    /// device has.</summary>
    /// <exception cref="VhostUserException">It has no CONFIG, or fails.</exception>
    public byte[] ReadWholeConfiguration()
    {
        RequireConfiguration();
        return Call(static (link, device) => ConfigurationSpace.ReadAll(link.Channel, device), DeviceId);
    }

    /// <inheritdoc/>
    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
        RequireConfiguration();
        EndOf(offset, source.Length);
        _written.Add(new(offset, source.ToArray()), DeviceId, write =>
            Tell(static (link, write) => ConfigurationSpace.Write(link.Channel, write.Offset, write.Bytes), write));
    }

    /// <inheritdoc/>
    /// <remarks>The protocol has none: it counts what the back-end's CONFIG_CHANGE announced, up to now.</remarks>
    public uint ReadConfigurationGeneration()
    {
        Tell(static (link, _) => link.Channel.ServeRequest(), 0);
        return _configurationChanges;
    }

    /// <inheritdoc/>
    public int ReadMaxQueueSize(int index) => (uint)index < (uint)_rings.Length ? _options.MaxQueueSize : 0;

    /// <inheritdoc/>
    /// <remarks>A queue that is enabled like this cannot be resumed when the back-end was started again.</remarks>
    public void EnableQueue(int index, in QueueLayout layout) => Enable(index, layout, null);

    /// <inheritdoc/>
    public void EnableQueue(DriverQueue queue) => Enable(queue.Index, queue.Layout, queue);

    /// <summary>Is not called: RING_RESET is not offered.</summary>
    /// <exception cref="VhostUserException">Always.</exception>
    public void ResetQueue(int index) =>
        throw new VhostUserException(VhostUserFailure.Lacking, FrontEndRequest.None, $"queue {index} cannot be reset alone over vhost-user");

    /// <inheritdoc/>
    public void Notify(QueueNotification notification)
    {
        if (_rings[notification.Queue] is { } ring)
            Kick(notification.Queue, ring);
    }

    /// <summary>Takes the rings back if the back-end still answers, and leaves.</summary>
    public void Dispose()
    {
        if (_lost is null)
            TakeBackRings(_link);
        _link.Dispose();
        _poll.Dispose();
        _inflight?.Dispose();
        foreach (FrontEndRing? ring in _rings)
            ring?.Dispose();
        _memory.Dispose();
    }

    private void Enable(int index, in QueueLayout layout, DriverQueue? queue)
    {
        if ((uint)index >= (uint)_rings.Length)
            throw new QueueException($"queue {index} does not exist: the back-end has {_rings.Length}");
        FrontEndRing ring = _rings[index] ??= AddRing(index);
        (ring.Layout, ring.Queue) = (layout, queue);
    }

    private FrontEndRing AddRing(int index)
    {
        var ring = new FrontEndRing();
        WatchRing(index, ring);
        return ring;
    }

    /// <summary>DRIVER_OK, as QEMU tells it: features, in-flight buffer, memory, rings, and then the status.</summary>
    /// <param name="link">Whom.</param>
    /// <param name="from">Where each ring goes on; null when they are new.</param>
    private void Start(BackEndLink link, Func<int, FrontEndRing, QueueSnapshot>? from)
    {
        link.SetFeatures(_accepted ?? default);
        if (from is not null)
            _written.TellAgain(link.Channel);
        if (link.Has(ProtocolFeatures.InflightShmfd))
        {
            if (!_askedInflight)
                AskInflightBuffer(link);
            _inflight?.GiveTo(link.Channel);
        }

        if (!link.KnowsMemory)
            _memory.ShowTo(link);
        link.KnowsMemory = link.Has(ProtocolFeatures.ConfigureMemSlots);
        for (int i = 0; i < _rings.Length; i++)
        {
            if (_rings[i] is { Layout: not null } ring)
                ring.Start(link, i, from?.Invoke(i, ring) ?? default, IsPacked);
        }

        SetStatus(link, _status);
        link.Barrier();
    }

    private void AskInflightBuffer(BackEndLink link)
    {
        int queues = 1 + Array.FindLastIndex(_rings, ring => ring?.Layout is not null);
        int size = _rings.Max(ring => ring?.Layout?.Size ?? 0);
        _inflight = queues > 0 ? KeptInflightBuffer.Ask(link.Channel, queues, size) : null;
        _askedInflight = true;
    }

    private static void SetStatus(BackEndLink link, DeviceStatus status)
    {
        if (link.Has(ProtocolFeatures.Status))
            link.Channel.Send(FrontEndRequest.SetStatus, (ulong)status);
    }

    /// <summary>A back-end that is gone needs no reset, and is not looked for to be given one.</summary>
    private void Reset()
    {
        try
        {
            if (_lost is null)
            {
                StopRings(_link);
                InvalidateTranslations();
                if (_link.Has(ProtocolFeatures.ResetDevice))
                    _link.Channel.Send(FrontEndRequest.ResetDevice, []);
                SetStatus(_link, DeviceStatus.Reset);
            }
        }
        catch (VhostUserException lost) when (lost.Failure == VhostUserFailure.Lost && CanReconnect)
        {
            Lose(lost);
        }

        foreach (FrontEndRing? ring in _rings)
            ring?.Forget();
        _accepted = null;
        _written.Clear();
        _inflight?.Dispose();
        (_inflight, _askedInflight) = (null, false);
    }

    private void StopRings(BackEndLink link)
    {
        for (int i = 0; i < _rings.Length; i++)
            _rings[i]?.Stop(link, i);
    }

    /// <summary>Stops the rings of a back-end that is left then.</summary>
    private void TakeBackRings(BackEndLink link)
    {
        try
        {
            StopRings(link);
        }
        catch (Exception gone) when (gone is TransportException or LinuxException)
        {
            // It has let go of them, or never will.
        }
    }

    private void RequireConfiguration()
    {
        if (!_link.Has(ProtocolFeatures.Config))
            throw new VhostUserException(VhostUserFailure.Lacking, FrontEndRequest.GetConfig, "configuration space is out of reach: the protocol feature CONFIG was not offered, or withheld");
    }

    private static int EndOf(uint offset, int length) => offset <= MessageRule.MaxConfigBytes && length <= MessageRule.MaxConfigBytes - (int)offset
        ? (int)offset + length
        : throw new VhostUserException(VhostUserFailure.Lacking, FrontEndRequest.GetConfig, $"{length} bytes at {offset} of configuration space: vhost-user reaches {MessageRule.MaxConfigBytes}");

    /// <summary>Over eventfds, or by a message, which the back-end has seen when this returns.</summary>
    private void Kick(int index, FrontEndRing ring)
    {
        if (!_link.Has(ProtocolFeatures.InbandNotifications))
            ring.Kick.Signal();
        else if (ring.IsStarted && _lost is null) // otherwise it is kicked when it starts
            Tell(static (link, index) => link.Channel.Send(FrontEndRequest.VringKick, new VringState((uint)index, 0)), index);
    }

    /// <summary>What the back-end says in-band is kept where an eventfd would have kept it.</summary>
    private bool OnNotified(BackEndRequest request, uint index)
    {
        if (index >= (uint)_rings.Length || _rings[index] is not { } ring)
            return false;
        (request == BackEndRequest.VringCall ? ring.Call : ring.Error).Signal();
        return true;
    }

    private void OnConfigurationChanged() => _configurationChanges++;
}

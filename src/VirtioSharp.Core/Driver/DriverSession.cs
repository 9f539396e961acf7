using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver;

/// <summary>A driver's hold on a device from reset to reset, in the order of §3.1.1; the mirror of <c>DeviceHost</c>.</summary>
/// <remarks>Steps 1–6 (reset … FEATURES_OK) happen in <see cref="Open"/>, queues are asked for, and <see cref="Start"/> sets DRIVER_OK.</remarks>
public sealed class DriverSession : IDisposable
{
    /// <summary>How often the status field is read back before a device counts as dead.</summary>
    private const int ResetPolls = 1000;

    /// <summary>What this library's driver rings know.</summary>
    private static readonly FeatureSet RingFeatures = Features.Version1 | Features.IndirectDesc | Features.EventIdx;

    private readonly IDriverTransport _transport;

    private DriverSession(IDriverTransport transport) => _transport = transport;

    /// <summary>What was agreed on.</summary>
    public FeatureSet NegotiatedFeatures { get; private set; }

    /// <summary>Resets the device and negotiates.</summary>
    /// <param name="transport">The way to the device.</param>
    /// <param name="id">The kind of device the driver is for.</param>
    /// <param name="wanted">The device features that the driver understands; those of the rings are added.</param>
    /// <param name="withheld">Features not to accept, though understood.</param>
    /// <exception cref="TransportException">It is another kind of device, does not reset, or refuses the features.</exception>
    public static DriverSession Open(IDriverTransport transport, DeviceId id, FeatureSet wanted = default, FeatureSet withheld = default)
    {
        if (transport.DeviceId != id)
            throw new TransportException($"device id = {(ushort)transport.DeviceId} ({transport.DeviceId}) is not the driver's {(ushort)id} ({id})");
        var session = new DriverSession(transport);
        session.Reset();
        try
        {
            session.Negotiate(wanted | RingFeatures, withheld);
        }
        catch
        {
            session.Fail();
            throw;
        }

        return session;
    }

    /// <summary>Lays out queue <paramref name="index"/> and enables it. Between <see cref="Open"/> and <see cref="Start"/>.</summary>
    /// <param name="index">Which queue.</param>
    /// <param name="maxSize">The most entries the driver has use for.</param>
    /// <exception cref="QueueException">The device has no such queue or refuses it. The device has been given up (FAILED).</exception>
    public DriverQueue EnableQueue(int index, int maxSize = 256)
    {
        try
        {
            return LayOut(index, maxSize);
        }
        catch
        {
            Fail();
            throw;
        }
    }

    /// <summary>Sets DRIVER_OK: the device is live.</summary>
    public void Start() => _transport.WriteStatus(_transport.ReadStatus() | DeviceStatus.DriverOk);

    /// <summary>Whether the device asks to be reset (§2.1.2).</summary>
    public bool NeedsReset => (_transport.ReadStatus() & DeviceStatus.NeedsReset) != 0;

    /// <summary>Resets the device, so that it lets go of the queues' memory before that goes away.</summary>
    public void Dispose()
    {
        try
        {
            Reset();
        }
        catch (TransportException)
        {
            // A device that is gone, or that does not answer, is not going to be reset.
        }
    }

    private DriverQueue<SplitDriverRing> LayOut(int index, int maxSize)
    {
        int offered = _transport.ReadMaxQueueSize(index);
        if (offered <= 0)
            throw new QueueException($"queue {index} does not exist: its size reads {offered}");

        // The largest power of two that both have room for; a device may offer any number (§2.7 asks for powers of two).
        int size = (int)(System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Min(offered, maxSize) + 1) / 2);
        var queue = new DriverQueue<SplitDriverRing>(_transport, index, size, QueueOptions.From(NegotiatedFeatures));
        _transport.EnableQueue(index, queue.Layout);
        return queue;
    }

    private void Negotiate(FeatureSet wanted, FeatureSet withheld)
    {
        _transport.WriteStatus(DeviceStatus.Acknowledge);
        _transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        FeatureSet offered = _transport.ReadDeviceFeatures();
        if (!offered.Has(Features.Version1))
            throw new TransportException($"the device offers {offered}: without VERSION_1 it is a legacy device");
        NegotiatedFeatures = (offered & wanted) - withheld;
        _transport.WriteDriverFeatures(NegotiatedFeatures);
        _transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
        if ((_transport.ReadStatus() & DeviceStatus.FeaturesOk) == 0)
            throw new TransportException($"the device refused the features {NegotiatedFeatures} (it offers {offered})");
    }

    private void Reset()
    {
        _transport.WriteStatus(DeviceStatus.Reset);
        for (int poll = 0; poll < ResetPolls; poll++)
        {
            DeviceStatus status = _transport.ReadStatus();
            if (status == DeviceStatus.Reset)
                return;
            if ((byte)status == 0xFF)
                throw new TransportException("device status reads 0xff: the device has been unplugged");
            if (poll > 16)
                Thread.Sleep(1);
        }

        throw new TransportException($"device status still reads {_transport.ReadStatus()} after a reset");
    }

    private void Fail() => _transport.WriteStatus(_transport.ReadStatus() | DeviceStatus.Failed);
}

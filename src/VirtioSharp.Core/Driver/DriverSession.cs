using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Driver;

/// <summary>A driver's hold on a device from reset to reset, in the order of §3.1.1; the mirror of <c>DeviceHost</c>.</summary>
/// <remarks>Steps 1–6 (reset … FEATURES_OK) happen in <see cref="Open"/>, queues are asked for, and <see cref="Start"/> sets DRIVER_OK.</remarks>
public sealed class DriverSession : IDisposable
{
    /// <summary>How often the status field is read back before a device counts as dead.</summary>
    private const int ResetPolls = 1000;

    /// <summary>What this library's driver rings know.</summary>
    private static readonly FeatureSet RingFeatures =
        Features.Version1 | Features.IndirectDesc | Features.EventIdx | Features.RingPacked | Features.InOrder
        | Features.NotificationData | Features.RingReset;

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

    /// <summary>Takes one queue back and gives the device a new one in its place, of another size if need be (§2.6.1.2).</summary>
    /// <param name="queue">The queue; what is in flight in it will never be used. It must not be used any more.</param>
    /// <param name="maxSize">The most entries the driver has use for now.</param>
    /// <exception cref="InvalidOperationException">RING_RESET was not negotiated.</exception>
    /// <exception cref="QueueException">The device refuses the new queue. The device has been given up (FAILED).</exception>
    public DriverQueue ResetQueue(DriverQueue queue, int maxSize = 256)
    {
        if (!NegotiatedFeatures.Has(Features.RingReset))
            throw new InvalidOperationException("RING_RESET was not negotiated: only the whole device can be reset");
        _transport.ResetQueue(queue.Index);
        return EnableQueue(queue.Index, maxSize);
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

    private DriverQueue LayOut(int index, int maxSize)
    {
        int offered = _transport.ReadMaxQueueSize(index);
        if (offered <= 0)
            throw new QueueException($"queue {index} does not exist: its size reads {offered}");

        DriverQueue queue = NegotiatedFeatures.Has(Features.RingPacked)
            ? Create<PackedDriverRing>(index, Math.Min(offered, Math.Min(maxSize, PackedLayout.MaxQueueSize)))
            : Create<SplitDriverRing>(index, LargestPowerOfTwo(Math.Min(offered, Math.Min(maxSize, SplitLayout.MaxQueueSize))));
        _transport.EnableQueue(index, queue.Layout);
        return queue;
    }

    private DriverQueue<TRing> Create<TRing>(int index, int size)
        where TRing : struct, IDriverRing<TRing> => new(_transport, index, size, QueueOptions.From(NegotiatedFeatures));

    // A device may offer any number for a split queue too (§2.7 asks for powers of two).
    private static int LargestPowerOfTwo(int atMost) => 1 << BitOperations.Log2((uint)atMost);

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

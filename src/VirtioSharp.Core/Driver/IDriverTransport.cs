using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver;

/// <summary>All that a driver may ask of the way to its device. Implemented once per transport.</summary>
/// <remarks>One thread at a time. Every member may throw <see cref="TransportException"/> when the device is gone.</remarks>
public interface IDriverTransport : IDisposable
{
    /// <summary>What kind of device is at the other end.</summary>
    DeviceId DeviceId { get; }

    /// <summary>Who made it: VendorID of virtio-mmio, the subsystem vendor of a PCI function; 0 where a transport has none.</summary>
    uint VendorId => 0;

    /// <summary>How many virtqueues it has.</summary>
    int QueueCount { get; }

    /// <summary>Memory that the device can reach.</summary>
    DmaArena Dma { get; }

    /// <summary>The clock that waiting goes by.</summary>
    TimeProvider Time { get; }

    /// <summary>
    /// 0, or the alignment of the device area in a legacy ring: the transport is a legacy interface (§2.7.2). Then the status has
    /// no FEATURES_OK, there are 32 feature bits, a queue has exactly <see cref="ReadMaxQueueSize"/> entries and lies in one
    /// piece at a multiple of this, and configuration fields are in the guest's byte order.
    /// </summary>
    int LegacyAlignment => 0;

    /// <summary>Sets the interrupts up for so many queues, the best way that the device has. Once per session, and once more
    /// when it is restored: after FEATURES_OK, before the first queue is enabled.</summary>
    /// <param name="queues">How many queues will be enabled at the most, from the first on.</param>
    /// <param name="best">The best kind to try; worse ones are tried in turn.</param>
    /// <returns>What it has become.</returns>
    /// <exception cref="TransportException">The device refuses every kind.</exception>
    InterruptKind UseInterrupts(int queues, InterruptKind best = InterruptKind.VectorPerQueue) => InterruptKind.VectorPerQueue;

    /// <summary>Who watches the queues of this transport's drivers, if anybody does.</summary>
    IDriverQueueObserver? QueueObserver => null;

    /// <summary>What the device offers (§2.2).</summary>
    FeatureSet ReadDeviceFeatures();

    /// <summary>Writes what the driver accepts.</summary>
    void WriteDriverFeatures(FeatureSet features);

    /// <summary>Reads the device status field (§2.1).</summary>
    DeviceStatus ReadStatus();

    /// <summary>Writes the device status field; 0 resets the device.</summary>
    void WriteStatus(DeviceStatus status);

    /// <summary>Reads device configuration space. Wider fields want <see cref="ReadConfigurationGeneration"/> around them.</summary>
    void ReadConfiguration(uint offset, Span<byte> destination);

    /// <summary>Writes device configuration space.</summary>
    void WriteConfiguration(uint offset, ReadOnlySpan<byte> source);

    /// <summary>Changes when configuration space does (§2.5.1).</summary>
    uint ReadConfigurationGeneration();

    /// <summary>The most entries queue <paramref name="index"/> may have: 0 when there is no such queue.</summary>
    int ReadMaxQueueSize(int index);

    /// <summary>Tells the device where a queue is, and enables it.</summary>
    /// <exception cref="QueueException">The device refuses it.</exception>
    void EnableQueue(int index, in QueueLayout layout);

    /// <summary>The same, for a transport that outlives its device and therefore asks the queue later where to go on
    /// (<see cref="DriverQueue.ResumeAt"/>).</summary>
    /// <exception cref="QueueException">The device refuses it.</exception>
    void EnableQueue(DriverQueue queue) => EnableQueue(queue.Index, queue.Layout);

    /// <summary>Takes a queue back from the device while it goes on with the others (§2.6.1). Only with RING_RESET.</summary>
    /// <exception cref="TransportException">The device does not let go of it.</exception>
    void ResetQueue(int index);

    /// <summary>Sends an available buffer notification; a transport without NOTIFICATION_DATA uses the queue's index only.</summary>
    void Notify(QueueNotification notification);

    /// <summary>Waits for one of some notifications, and takes it; others stay. Where notifications cannot be told apart, all of
    /// those that it may be are pending: a driver tolerates one in vain.</summary>
    /// <param name="sources">What to wait for; the first that is pending is taken.</param>
    /// <param name="timeout">The longest to wait; zero only looks.</param>
    /// <returns><see cref="InterruptSource.None"/> when the time ran out, or when none can come any more.</returns>
    InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout);
}

using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Driver;

// Step 7 of §3.1.1: the interrupts, and then the queues.
public sealed partial class DriverSession
{
    private readonly Dictionary<int, DriverQueue> _queues = [];

    /// <summary>The best kind of interrupt to try. To be changed before the first queue is enabled.</summary>
    public InterruptKind BestInterrupts { get; set; } = InterruptKind.VectorPerQueue;

    /// <summary>How the device's notifications are told apart; null until the first queue is enabled.</summary>
    public InterruptKind? Interrupts { get; private set; }

    /// <summary>Lays out queue <paramref name="index"/> and enables it. Between <see cref="Open(IDriverTransport, DeviceId, DriverFeatures)"/> and <see cref="Start"/>.</summary>
    /// <param name="index">Which queue.</param>
    /// <param name="maxSize">The most entries the driver has use for. A legacy interface takes no notice.</param>
    /// <exception cref="QueueException">The device has no such queue or refuses it. The device has been given up (FAILED).</exception>
    public DriverQueue EnableQueue(int index, int maxSize = QueueRequest.DefaultMaxSize)
    {
        EnableQueues([new(index, "", maxSize)], oneByOne: true);
        return _queues[index];
    }

    /// <summary>Sets the interrupts up for several queues, lays the queues out and enables them. Between <see cref="Open(IDriverTransport, DeviceId, DriverFeatures)"/> and <see cref="Start"/>.</summary>
    /// <param name="requests">The queues, in the order in which they are enabled; <see cref="Queue"/> returns them.</param>
    /// <exception cref="QueueException">The device has no such queue or refuses it. The device has been given up (FAILED).</exception>
    /// <exception cref="TransportException">The device refuses every kind of interrupt, or is gone. The same.</exception>
    public void EnableQueues(params ReadOnlySpan<QueueRequest> requests) => EnableQueues(requests, oneByOne: false);

    /// <summary>Whether the queue is enabled: an optional one that was asked for may be absent.</summary>
    public bool IsEnabled(int index) => _queues.ContainsKey(index);

    /// <summary>The queue that was enabled under this number.</summary>
    /// <exception cref="InvalidOperationException">It has not been enabled.</exception>
    public DriverQueue Queue(int index) => _queues.GetValueOrDefault(index) ?? throw new InvalidOperationException($"queue {index} has not been enabled");

    /// <summary>Takes one queue back and gives the device a new one in its place, of another size if need be (§2.6.1.2).</summary>
    /// <param name="queue">The queue; what is in flight in it will never be used. It must not be used any more.</param>
    /// <param name="maxSize">The most entries the driver has use for now.</param>
    /// <exception cref="InvalidOperationException">RING_RESET was not negotiated.</exception>
    /// <exception cref="QueueException">The device refuses the new queue. The device has been given up (FAILED).</exception>
    public DriverQueue ResetQueue(DriverQueue queue, int maxSize = QueueRequest.DefaultMaxSize)
    {
        if (!NegotiatedFeatures.Has(Features.RingReset))
            throw new InvalidOperationException("RING_RESET was not negotiated: only the whole device can be reset");
        _transport.ResetQueue(queue.Index);
        return EnableQueue(queue.Index, maxSize);
    }

    private void EnableQueues(ReadOnlySpan<QueueRequest> requests, bool oneByOne)
    {
        try
        {
            if (Interrupts is null)
            {
                // A driver that enables its queues one by one may enable all there are.
                _interruptsFor = oneByOne ? _transport.QueueCount : 0;
                foreach (QueueRequest request in requests)
                    _interruptsFor = Math.Max(_interruptsFor, request.Index + 1);
                Interrupts = _transport.UseInterrupts(_interruptsFor, BestInterrupts);
            }

            foreach (QueueRequest request in requests)
                Enable(request);
        }
        catch
        {
            Handshake.Fail(_transport);
            throw;
        }
    }

    private void Enable(QueueRequest request)
    {
        int offered = _transport.ReadMaxQueueSize(request.Index);
        if (offered == 0 && request.IsOptional)
            return;
        if (offered <= 0)
            throw new QueueException($"{Title(request)} does not exist: its size reads {offered}");

        DriverQueue queue = LayOut(request, offered);
        _transport.EnableQueue(queue);
        _queues[request.Index] = queue;
        _sources = [InterruptSource.Configuration, .. _queues.Keys.Order().Select(InterruptSource.Queue)];
    }

    private DriverQueue LayOut(QueueRequest request, int offered)
    {
        if (IsLegacy)
            return LayOutLegacy(request, offered);
        int most = Math.Min(offered, request.MaxSize);
        return NegotiatedFeatures.Has(Features.RingPacked)
            ? Create<PackedDriverRing>(request.Index, Math.Min(most, PackedLayout.MaxQueueSize))
            : Create<SplitDriverRing>(request.Index, LargestPowerOfTwo(Math.Min(most, SplitLayout.MaxQueueSize)));
    }

    /// <summary>The driver MUST take the size that it reads (§2.7.2).</summary>
    private DriverQueue<SplitDriverRing> LayOutLegacy(QueueRequest request, int offered) => SplitLayout.IsValidSize(offered)
        ? Create<SplitDriverRing>(request.Index, offered)
        : throw new QueueException($"{Title(request)} has a size of {offered}: a legacy interface allows no other, and that is not a power of two in 1…{SplitLayout.MaxQueueSize}");

    private DriverQueue<TRing> Create<TRing>(int index, int size)
        where TRing : struct, IDriverRing<TRing> =>
        new(_transport, index, size, QueueOptions.From(NegotiatedFeatures) with { LegacyAlignment = _transport.LegacyAlignment });

    // A device may offer any number for a split queue too (§2.7 asks for powers of two).
    private static int LargestPowerOfTwo(int atMost) => 1 << BitOperations.Log2((uint)atMost);

    private static string Title(QueueRequest request) => request.Name is "" ? $"queue {request.Index}" : $"queue {request.Index} ({request.Name})";
}

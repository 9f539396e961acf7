using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Interrupts;

namespace VirtioSharp.Transports.Pci;

/// <summary>What both interfaces of a virtio function have in common: which device it is, how it interrupts, and how it is left.</summary>
public abstract class VirtioPciTransport : IDriverTransport, IVectorRegisters
{
    /// <summary>How often a register is read back before a device counts as dead: a second, about.</summary>
    private const int Polls = 1000;

    private readonly PciInterruptSetup _interrupts;
    private bool _disposed;

    private protected VirtioPciTransport(IPciFunction function)
    {
        Function = function;
        if (!PciFunctionIdentity.TryRead(function, out PciFunctionIdentity identity))
            throw new TransportException($"{function.Name}: vendor id reads all ones: the device has been unplugged");
        if (!identity.IsVirtio)
            throw new TransportException($"{function.Name}: {identity.VendorId:x4}:{identity.DeviceId:x4} is not a virtio device");
        Identity = identity;
        _interrupts = new PciInterruptSetup(function, this);
    }

    /// <summary>What the function says it is.</summary>
    public PciFunctionIdentity Identity { get; }

    /// <inheritdoc/>
    public DeviceId DeviceId => Identity.VirtioType;

    /// <summary>The subsystem vendor, as Linux has it.</summary>
    public uint VendorId => Identity.SubsystemVendorId;

    /// <inheritdoc/>
    public abstract int QueueCount { get; }

    /// <inheritdoc/>
    public DmaArena Dma => Function.Dma;

    /// <inheritdoc/>
    public TimeProvider Time => Function.Time;

    /// <inheritdoc/>
    public virtual int LegacyAlignment => 0;

    /// <summary>How interrupts come now: a line, until <see cref="UseInterrupts"/> finds better.</summary>
    public InterruptKind InterruptKind => _interrupts.Kind;

    private protected IPciFunction Function { get; }

    /// <summary>Whether the device sends messages instead of raising its line. In a legacy device registers move with it.</summary>
    private protected bool IsMsixEnabled => _interrupts.IsMsixEnabled;

    /// <inheritdoc/>
    public InterruptKind UseInterrupts(int queues, InterruptKind best = InterruptKind.VectorPerQueue) => _interrupts.Use(queues, best);

    /// <inheritdoc/>
    public abstract FeatureSet ReadDeviceFeatures();

    /// <inheritdoc/>
    public abstract void WriteDriverFeatures(FeatureSet features);

    /// <inheritdoc/>
    public abstract DeviceStatus ReadStatus();

    /// <inheritdoc/>
    public abstract void WriteStatus(DeviceStatus status);

    /// <inheritdoc/>
    public abstract void ReadConfiguration(uint offset, Span<byte> destination);

    /// <inheritdoc/>
    public abstract void WriteConfiguration(uint offset, ReadOnlySpan<byte> source);

    /// <inheritdoc/>
    public abstract uint ReadConfigurationGeneration();

    /// <inheritdoc/>
    public abstract int ReadMaxQueueSize(int index);

    /// <inheritdoc/>
    public abstract void EnableQueue(int index, in QueueLayout layout);

    /// <inheritdoc/>
    public abstract void ResetQueue(int index);

    /// <inheritdoc/>
    public abstract void Notify(QueueNotification notification);

    /// <inheritdoc/>
    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => _interrupts.Wait(sources, timeout);

    ushort IVectorRegisters.MapConfiguration(ushort vector) => MapConfigurationVector(vector);

    ushort IVectorRegisters.MapQueue(int queue, ushort vector) => MapQueueVector(queue, vector);

    bool IVectorRegisters.HasQueue(int queue) => HasQueue(queue);

    InterruptStatus IVectorRegisters.ReadInterruptStatus()
    {
        byte status = ReadInterruptStatus();
        if (status == 0xFF)
            Function.ThrowIfUnplugged("ISR status");
        return (InterruptStatus)status;
    }

    /// <summary>Leaves the device quiet: reset, its messages off, and no longer able to reach memory. Disposes the function.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        GC.SuppressFinalize(this);

        // In this order: it lets go of memory by itself, and if it does not, it is no longer allowed to (§3.3, PCI 3.0 §6.2.2).
        BestEffort(ResetDevice);
        BestEffort(_interrupts.TurnOff);
        BestEffort(StopBusMaster);
        Function.Dispose();
    }

    /// <summary>Waits for something that a device has to do soon.</summary>
    /// <returns>False when it does not.</returns>
    private protected static bool Poll<T>(T state, Func<T, bool> done)
    {
        for (int poll = 0; poll < Polls; poll++)
        {
            if (done(state))
                return true;
            if (poll > 16)
                Thread.Sleep(1);
        }

        return false;
    }

    /// <summary>Gives an enabled queue its message again, for a reset took it away. Nothing while the line is used.</summary>
    /// <exception cref="QueueException">The device has none for it any more.</exception>
    private protected void MapVectorOf(int queue)
    {
        if (!_interrupts.IsMsixEnabled)
            return;
        ushort vector = _interrupts.VectorOf(queue);
        ushort held = MapQueueVector(queue, vector);
        if (held != vector)
            throw new QueueException($"{Function.Name}: queue {queue}: MSI-X vector = 0x{held:x4} after {vector} was written");
    }

    private protected abstract ushort MapConfigurationVector(ushort vector);

    private protected abstract ushort MapQueueVector(int queue, ushort vector);

    private protected abstract bool HasQueue(int queue);

    private protected abstract byte ReadInterruptStatus();

    private static void BestEffort(Action step)
    {
        try
        {
            step();
        }
        catch (TransportException)
        {
            // A device that is gone, or a carrier. The next step may still work.
        }
    }

    private void ResetDevice()
    {
        WriteStatus(DeviceStatus.Reset);
        _ = Poll(this, transport => transport.ReadStatus() == DeviceStatus.Reset);
    }

    private void StopBusMaster()
    {
        uint command = Function.ReadConfiguration(PciConfigurationRegister.Command, 2);
        Function.WriteConfiguration(PciConfigurationRegister.Command, 2, command & ~(uint)PciCommand.BusMaster);
    }
}

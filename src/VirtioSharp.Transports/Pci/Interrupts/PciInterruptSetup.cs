using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Interrupts;

/// <summary>Chooses how a virtio function interrupts, as Linux's <c>vp_find_vqs</c> does: a vector per queue, two vectors, the line.</summary>
/// <remarks>A device may refuse a vector (§4.1.5.1.2). Then all that was set is undone before the next kind is tried.</remarks>
internal sealed class PciInterruptSetup(IPciFunction function, IVectorRegisters registers)
{
    private const ushort ConfigurationVector = 0, FirstQueueVector = 1;

    private readonly PciInterruptInbox _inbox = new(function, registers);
    private MsixVectors? _vectors;
    private int _entries, _queues;

    public InterruptKind Kind { get; private set; } = InterruptKind.Line;

    public bool IsMsixEnabled { get; private set; }

    /// <exception cref="TransportException">No kind works; the message says why not, one by one.</exception>
    public InterruptKind Use(int queues, InterruptKind best)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(queues);
        if (IsMsixEnabled)
            UnmapAll();
        TurnOff();
        List<string> refusals = [];
        for (InterruptKind kind = best; kind <= InterruptKind.Line; kind++)
        {
            string? refusal = kind == InterruptKind.Line ? TryLine() : TryVectors(queues, kind);
            if (refusal is null)
            {
                Kind = kind;
                _inbox.Start(kind, queues);
                return kind;
            }

            refusals.Add($"{kind}: {refusal}");
        }

        throw new TransportException($"{function.Name}: no kind of interrupt can be had: {string.Join("; ", refusals)}");
    }

    /// <summary>The vector of a queue, to be mapped again.</summary>
    public ushort VectorOf(int queue) =>
        Kind == InterruptKind.SharedVector ? FirstQueueVector
        : queue < _queues ? (ushort)(FirstQueueVector + queue)
        : VirtioPci.NoVector;

    public InterruptSource Wait(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => _inbox.Wait(sources, timeout);

    /// <summary>Back to how a function comes out of reset: the line is allowed, messages are off.</summary>
    public void TurnOff()
    {
        if (IsMsixEnabled)
            DisableVectors();
        _inbox.Start(InterruptKind.Line, 0);
    }

    private string? TryVectors(int queues, InterruptKind kind)
    {
        if (_vectors is null && (_vectors = MsixVectors.Find(function, out string reason)) is null)
            return reason;
        int needed = kind == InterruptKind.VectorPerQueue ? queues + 1 : 2;
        if (needed > _vectors.Count)
            return $"the MSI-X table has {_vectors.Count} entries, {needed} are needed";
        if (needed > function.Interrupts.MaxMessages)
            return $"{function.Interrupts.MaxMessages} messages can be received, {needed} are needed";
        if (!_vectors.TryEnable())
        {
            _vectors.Disable();
            return "MSI-X does not stay enabled";
        }

        IsMsixEnabled = true;
        AllowLine(false);
        (_entries, _queues, Kind) = (needed, queues, kind);
        for (int entry = 0; entry < needed; entry++)
        {
            _vectors.Program(entry, function.Interrupts.MessageFor(entry));
            _ = function.Interrupts.TakeMessage(entry); // one of a session before
        }

        string? refusal = MapAll(queues);
        if (refusal is null)
        {
            _vectors.Unmask();
            return null;
        }

        UnmapAll();
        DisableVectors();
        return refusal;
    }

    // §4.1.5.1.2: success is that the vector reads back.
    private string? MapAll(int queues)
    {
        ushort held = registers.MapConfiguration(ConfigurationVector);
        if (held != ConfigurationVector)
            return $"config_msix_vector = 0x{held:x4} after {ConfigurationVector} was written";
        for (int queue = 0; queue < queues; queue++)
        {
            ushort vector = VectorOf(queue);
            if (registers.HasQueue(queue) && (held = registers.MapQueue(queue, vector)) != vector)
                return $"queue_msix_vector = 0x{held:x4} after {vector} was written for queue {queue}";
        }

        return null;
    }

    // Before messages are turned off: a legacy device has vector registers only while they are on.
    private void UnmapAll()
    {
        _ = registers.MapConfiguration(VirtioPci.NoVector);
        for (int queue = 0; queue < _queues; queue++)
            if (registers.HasQueue(queue))
                _ = registers.MapQueue(queue, VirtioPci.NoVector);
    }

    private void DisableVectors()
    {
        for (int entry = 0; entry < _entries; entry++)
            _vectors!.Mask(entry);
        _vectors!.Disable();
        (IsMsixEnabled, Kind, _entries, _queues) = (false, InterruptKind.Line, 0, 0);
        AllowLine(true);
    }

    private string? TryLine()
    {
        if (!function.Interrupts.HasLine)
            return "the line leads nowhere";
        if (function.ReadConfiguration(PciConfigurationRegister.InterruptPin, 1) == 0)
            return "the function has no interrupt pin";
        AllowLine(true);
        return null;
    }

    private void AllowLine(bool allow)
    {
        uint command = function.ReadConfiguration(PciConfigurationRegister.Command, 2);
        uint wanted = allow ? command & ~(uint)PciCommand.InterruptDisable : command | (uint)PciCommand.InterruptDisable;
        if (command != wanted)
            function.WriteConfiguration(PciConfigurationRegister.Command, 2, wanted);
    }
}

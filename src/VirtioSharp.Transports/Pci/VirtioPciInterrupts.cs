using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Software;

namespace VirtioSharp.Transports.Pci;

/// <summary>How a virtio function interrupts (§4.1.5.3, §4.1.5.4): by the vector that was mapped, or by ISR status and the line.</summary>
/// <remarks>Raised from any thread, without a lock; the registers are the register thread's.</remarks>
internal sealed class VirtioPciInterrupts : IInterrupt
{
    private readonly Action _lineChanged;
    private readonly int[] _vectors; // by queue, and the configuration's last
    private int _status;

    public VirtioPciInterrupts(int queues, Action lineChanged)
    {
        _lineChanged = lineChanged;
        _vectors = new int[queues + 1];
        Array.Fill(_vectors, VirtioPci.NoVector);
    }

    /// <summary>The vectors; null when the function has only a line.</summary>
    public MsixTable? Msix { get; set; }

    /// <summary>Whether ISR status is not 0.</summary>
    public bool HasStatus => Volatile.Read(ref _status) != 0;

    private int Configuration => _vectors.Length - 1;

    public void SignalUsed(int queue)
    {
        if ((uint)queue >= (uint)Configuration)
            return;
        if (Msix is { IsEnabled: true } msix)
            msix.Raise(Volatile.Read(ref _vectors[queue])); // NO_VECTOR is no vector of any table
        else
            SetStatus(InterruptStatus.UsedBuffer);
    }

    public void SignalConfigurationChange()
    {
        SetStatus(InterruptStatus.ConfigurationChange); // §4.1.4.5.1: before the notification, whichever way it goes
        if (Msix is { IsEnabled: true } msix)
            msix.Raise(Volatile.Read(ref _vectors[Configuration]));
    }

    /// <summary>The driver reads ISR status: that clears it and lowers the line.</summary>
    public InterruptStatus TakeStatus()
    {
        if (!HasStatus)
            return InterruptStatus.None;
        var status = (InterruptStatus)Interlocked.Exchange(ref _status, 0);
        _lineChanged();
        return status;
    }

    public ushort ReadQueueVector(int queue) => (ushort)_vectors[queue];

    public void WriteQueueVector(int queue, ushort vector) => Volatile.Write(ref _vectors[queue], Checked(vector));

    public ushort ReadConfigurationVector() => (ushort)_vectors[Configuration];

    public void WriteConfigurationVector(ushort vector) => Volatile.Write(ref _vectors[Configuration], Checked(vector));

    /// <summary>The device was reset: nothing is mapped (§4.1.5.1.2.1), nothing waits.</summary>
    public void Reset()
    {
        Array.Fill(_vectors, VirtioPci.NoVector);
        Msix?.ClearPending();
        TakeStatus();
    }

    /// <summary>A vector that does not exist reads back as NO_VECTOR (§4.1.5.1.2.1).</summary>
    private int Checked(ushort vector) => vector < (Msix?.Count ?? 0) ? vector : VirtioPci.NoVector;

    private void SetStatus(InterruptStatus status)
    {
        Interlocked.Or(ref _status, (int)status);
        _lineChanged();
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;

namespace VirtioSharp.Transports.Mmio;

/// <summary>Queue registers of version 2 (§4.2.2): three 64-bit areas, QueueReady, QueueReset.</summary>
internal sealed class CurrentMmioQueues : MmioQueues
{
    private const int High = 4; // the upper half of a 64-bit register
    private readonly QueueRegisters[] _queues;

    public CurrentMmioQueues(DeviceHost host)
        : base(host)
    {
        _queues = new QueueRegisters[host.Traits.Queues.Count];
        Forget();
    }

    public override uint Read(int register) => register switch
    {
        MmioRegister.QueueSizeMax => MaxSize,
        MmioRegister.QueueReady => Exists && _queues[Selected].IsReady ? 1u : 0,
        _ => 0, // QueueReset too: a queue is reset by the time that the driver's write returns
    };

    public override void Write(int register, uint value)
    {
        if (!Exists)
            return;
        ref QueueRegisters queue = ref _queues[Selected];
        switch (register)
        {
            case MmioRegister.QueueReady when (Host.Status & DeviceStatus.FeaturesOk) != 0: // before it, the ring's format is not known
                SetReady(ref queue, value);
                break;
            case MmioRegister.QueueReset when value == 1 && Host.DriverFeatures.Has(Features.RingReset):
                Host.ResetQueue(Selected);
                queue = new QueueRegisters(MaxSize); // §2.6.1: as after a reset of the device
                break;
            default:
                if (!queue.IsReady)
                    Set(ref queue, register, value);
                break;
        }
    }

    public override void Reset()
    {
        base.Reset();
        Forget();
    }

    protected override QueueLayout Layout() => _queues[Selected].Layout;

    private static void Set(ref QueueRegisters queue, int register, uint value)
    {
        switch (register)
        {
            case MmioRegister.QueueSize:
                queue.Size = value;
                break;
            case MmioRegister.QueueDescriptorArea or MmioRegister.QueueDescriptorArea + High:
                QueueRegisters.SetHalf(ref queue.DescriptorArea, register != MmioRegister.QueueDescriptorArea, value);
                break;
            case MmioRegister.QueueDriverArea or MmioRegister.QueueDriverArea + High:
                QueueRegisters.SetHalf(ref queue.DriverArea, register != MmioRegister.QueueDriverArea, value);
                break;
            case MmioRegister.QueueDeviceArea or MmioRegister.QueueDeviceArea + High:
                QueueRegisters.SetHalf(ref queue.DeviceArea, register != MmioRegister.QueueDeviceArea, value);
                break;
        }
    }

    private void SetReady(ref QueueRegisters queue, uint value)
    {
        if (value == 1 && !queue.IsReady)
        {
            queue.IsReady = TryEnable();
        }
        else if (value == 0 && queue.IsReady)
        {
            Host.DisableQueue(Selected);
            queue.IsReady = false;
        }
    }

    private void Forget()
    {
        for (int index = 0; index < _queues.Length; index++)
            _queues[index] = new QueueRegisters((uint)Host.Traits.Queues[index].MaxSize);
    }
}

using System.Numerics;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Mmio;

namespace VirtioSharp.Transports.Mmio;

/// <summary>Queue registers of version 1 (§4.2.4): a ring is one piece, and its page number both says where it is and enables it.</summary>
internal sealed class LegacyMmioQueues : MmioQueues
{
    private readonly Registers[] _queues;
    private uint _pageSize;

    public LegacyMmioQueues(DeviceHost host)
        : base(host)
    {
        _queues = new Registers[host.Traits.Queues.Count];
        Forget();
    }

    /// <summary>Whether any queue is in use.</summary>
    public bool AnyInUse => Array.Exists(_queues, queue => queue.Page != 0);

    public override uint Read(int register) => register switch
    {
        MmioRegister.QueueSizeMax => MaxSize,
        MmioRegister.QueuePage when Exists => _queues[Selected].Page,
        _ => 0,
    };

    public override void Write(int register, uint value)
    {
        if (register == MmioRegister.GuestPageSize)
            _pageSize = value; // not of one queue
        else if (Exists)
            Set(ref _queues[Selected], register, value);
    }

    /// <remarks>The page size stays: Linux writes it once, and resets the device only then.</remarks>
    public override void Reset()
    {
        base.Reset();
        Forget();
    }

    protected override QueueLayout Layout()
    {
        Registers queue = _queues[Selected];
        if (!BitOperations.IsPow2(_pageSize))
            throw new QueueException($"guest page size = {_pageSize} is not a power of two");
        return LegacyRing.At(queue.Page * (ulong)_pageSize, queue.Size, queue.Alignment);
    }

    private void Set(ref Registers queue, int register, uint value)
    {
        bool inUse = queue.Page != 0;
        switch (register)
        {
            case MmioRegister.QueuePage when inUse && value == 0:
                Host.DisableQueue(Selected);
                queue.Page = 0;
                break;
            case MmioRegister.QueuePage when !inUse && value != 0:
                queue.Page = value;
                if (!TryEnable())
                    queue.Page = 0;
                break;
            case MmioRegister.QueueSize when !inUse:
                queue.Size = value;
                break;
            case MmioRegister.QueueAlign when !inUse:
                queue.Alignment = value;
                break;
        }
    }

    private void Forget()
    {
        for (int index = 0; index < _queues.Length; index++)
            _queues[index] = new Registers { Size = (uint)Host.Traits.Queues[index].MaxSize };
    }

    private struct Registers
    {
        public uint Size;
        public uint Alignment;
        public uint Page;
    }
}

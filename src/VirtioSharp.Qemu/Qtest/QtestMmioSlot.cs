using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Transports;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>One of a machine's places for a virtio-mmio device: <c>MmioTransport.Open(slot.Window, slot.Line, slot.Dma)</c>.</summary>
/// <remarks>QEMU fills the slots from the last one down. Nothing is to be disposed; all goes with the machine.</remarks>
public sealed class QtestMmioSlot
{
    /// <summary>Takes a slot into use, with or without a device in it.</summary>
    /// <param name="machine">A microvm or an ARM virt; not disposed.</param>
    /// <param name="number">0 to <see cref="CountOf"/> − 1.</param>
    public QtestMmioSlot(QtestMachine machine, int number)
    {
        ArgumentNullException.ThrowIfNull(machine);
        QtestMachineFacts facts = machine.Facts;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)number, (uint)facts.MmioSlots, nameof(number));
        Number = number;
        Dma = machine.Dma;
        Window = new Registers(
            machine.Qtest, facts.MmioStart + (ulong)number * QtestMachineFacts.MmioSlotBytes, QtestMachineFacts.MmioSlotBytes);
        Line = new QtestInterruptLine(machine.Qtest, facts.MmioInterrupt + number);
    }

    /// <summary>Which slot it is.</summary>
    public int Number { get; }

    /// <summary>Its registers.</summary>
    public IRegisterWindow Window { get; }

    /// <summary>Its interrupt.</summary>
    public IInterruptLine Line { get; }

    /// <summary>Memory that its device can reach.</summary>
    public DmaArena Dma { get; }

    /// <summary>How many slots a machine has: 0 where virtio-mmio is not used.</summary>
    public static int CountOf(QtestMachine machine)
    {
        ArgumentNullException.ThrowIfNull(machine);
        return machine.Facts.MmioSlots;
    }

    /// <summary>The slot with a device of a kind, looking from the last one down as QEMU fills them.</summary>
    /// <returns>Null when there is none.</returns>
    public static QtestMmioSlot? Find(QtestMachine machine, DeviceId type)
    {
        for (int number = CountOf(machine) - 1; number >= 0; number--)
        {
            QtestMmioSlot slot = new(machine, number);
            if (slot.Window.Read(MmioRegister.DeviceId, 4) == (uint)type)
                return slot;
        }

        return null;
    }

    /// <summary>The registers. An acknowledgement has arrived when the next instruction runs, as a processor's would have.</summary>
    /// <remarks>
    /// Writes are sent off without waiting. If a driver looked into its queue before QEMU had read the acknowledgement, that could
    /// acknowledge the interrupt for a buffer that was used after the look: nobody would ever look again.
    /// </remarks>
    private sealed class Registers(QtestClient qtest, ulong start, ulong length) : IRegisterWindow
    {
        private readonly QtestMemoryWindow _memory = new(qtest, start, length);

        public ulong Length => length;

        public uint Read(ulong offset, int width) => _memory.Read(offset, width);

        public void Write(ulong offset, int width, uint value)
        {
            _memory.Write(offset, width, value);
            if (offset == MmioRegister.InterruptAcknowledge)
                qtest.Flush();
        }
    }
}

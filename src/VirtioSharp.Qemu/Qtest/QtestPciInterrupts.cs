using System.Diagnostics;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>
/// Interrupts of a function without a processor to get them. An MSI-X message is a write to memory, so each goes to a
/// word of memory that is looked at; the line is intercepted where it enters the interrupt controller.
/// </summary>
internal sealed class QtestPciInterrupts(QtestMachine machine, int? line) : IPciInterrupts
{
    private const int WordBytes = sizeof(uint);
    private readonly DmaBuffer _words = machine.Dma.Allocate(256 * WordBytes, alignment: 4096 / 4);
    private int _inUse;

    public int MaxMessages => _words.Length / WordBytes;

    public bool HasLine => line is not null;

    public bool IsLineRaised => line is { } number && machine.Qtest.IsRaised(number);

    public PciMessage MessageFor(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)number, (uint)MaxMessages, nameof(number));
        _inUse = Math.Max(_inUse, number + 1);
        return new PciMessage(_words.Address.Plus((ulong)number * WordBytes).Value, (uint)number + 1); // 0 is what nobody wrote
    }

    public bool TakeMessage(int number) => Interlocked.Exchange(ref Words[number], 0) != 0;

    public bool Wait(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        for (QtestPause pause = new(machine.Qtest); ;)
        {
            if (Words[.._inUse].ContainsAnyExcept(0u) || IsRaised())
                return true;
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || !pause.Next(left))
                return false;
        }
    }

    private Span<uint> Words => MemoryMarshal.Cast<byte, uint>(_words.Span);

    private bool IsRaised() => line is { } number && machine.Qtest.HasRaised(number);
}

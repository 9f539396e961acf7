using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Transports.Tests.Support;

/// <summary>Wires that a test pulls.</summary>
internal sealed class FakeInterrupts : IPciInterrupts
{
    public HashSet<int> Messages { get; } = [];

    public bool IsLineRaised { get; set; }

    public int MaxMessages { get; set; } = 64;

    public bool HasLine { get; set; } = true;

    public int Waits { get; private set; }

    /// <summary>What happens while the driver waits; whether to tell it to look.</summary>
    public Func<bool> OnWait { get; set; } = () => false;

    public PciMessage MessageFor(int number) => new(0x1_FEE0_0000, 0x4000u + (uint)number);

    public bool TakeMessage(int number) => Messages.Remove(number);

    public bool Wait(TimeSpan timeout)
    {
        Waits++;
        return OnWait();
    }
}

using System.Globalization;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Transports.Tracing;

/// <summary>A PCI function whose configuration cycles, register accesses and interrupts are recorded, over any carrier.</summary>
/// <param name="inner">The function; disposed with this one.</param>
/// <param name="walk">Where the steps go.</param>
public sealed class TracingFunction(IPciFunction inner, Walk walk) : IPciFunction, IPciInterrupts
{
    /// <inheritdoc/>
    public string Name => inner.Name;

    /// <inheritdoc/>
    public DmaArena Dma => inner.Dma;

    /// <inheritdoc/>
    public TimeProvider Time => inner.Time;

    /// <inheritdoc/>
    public IPciInterrupts Interrupts => this;

    /// <inheritdoc/>
    public int MaxMessages => inner.Interrupts.MaxMessages;

    /// <inheritdoc/>
    public bool HasLine => inner.Interrupts.HasLine;

    /// <inheritdoc/>
    public bool IsLineRaised
    {
        get
        {
            bool raised = inner.Interrupts.IsLineRaised;
            if (raised)
                walk.Mark(WalkSide.Transport, "interrupt taken", "§4.1.4.5", "INTx is raised");
            return raised;
        }
    }

    /// <inheritdoc/>
    public uint ReadConfiguration(int offset, int width)
    {
        WalkStep? step = walk.BeginOrContinue(WalkSide.Transport, "configuration read", "§4.1.2");
        uint value = inner.ReadConfiguration(offset, width);
        walk.End(step, string.Create(CultureInfo.InvariantCulture, $"{Name} +0x{offset:x2} → 0x{value.ToString($"x{2 * width}", CultureInfo.InvariantCulture)}"));
        return value;
    }

    /// <inheritdoc/>
    public void WriteConfiguration(int offset, int width, uint value)
    {
        WalkStep? step = walk.BeginOrContinue(WalkSide.Transport, "configuration write", "§4.1.2");
        inner.WriteConfiguration(offset, width, value);
        walk.End(step, string.Create(CultureInfo.InvariantCulture, $"{Name} +0x{offset:x2} ← 0x{value.ToString($"x{2 * width}", CultureInfo.InvariantCulture)}"));
    }

    /// <inheritdoc/>
    public IRegisterWindow? OpenBar(int bar)
    {
        IRegisterWindow? window = inner.OpenBar(bar);
        if (window is null)
            return null;
        bool isIo = (inner.ReadConfiguration(PciConfigurationRegister.Bar(bar), 4) & 1) != 0;
        return new TracingWindow(window, walk, $"BAR{bar}", isIo ? RegisterNames.LegacyPci() : RegisterNames.ModernPci(inner, bar));
    }

    /// <inheritdoc/>
    public PciMessage MessageFor(int number) => inner.Interrupts.MessageFor(number);

    /// <inheritdoc/>
    public bool TakeMessage(int number)
    {
        bool came = inner.Interrupts.TakeMessage(number);
        if (came)
            walk.Mark(WalkSide.Transport, "interrupt taken", "§4.1.5.3", $"MSI-X message {number}: 0x{MessageFor(number).Data:x} at 0x{MessageFor(number).Address:x}");
        return came;
    }

    /// <inheritdoc/>
    public bool Wait(TimeSpan timeout) => inner.Interrupts.Wait(timeout);

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}

using System.Globalization;

namespace VirtioSharp.Transports.Tracing;

/// <summary>Registers whose accesses are recorded by name.</summary>
/// <param name="inner">The registers.</param>
/// <param name="walk">Where the steps go.</param>
/// <param name="place">What the window is: "BAR4".</param>
/// <param name="names">What its registers are called.</param>
public sealed class TracingWindow(IRegisterWindow inner, Walk walk, string place, RegisterNames names) : IRegisterWindow
{
    /// <inheritdoc/>
    public ulong Length => inner.Length;

    /// <inheritdoc/>
    public uint Read(ulong offset, int width)
    {
        WalkStep? step = walk.Begin(WalkSide.Transport, "register read", "§4");
        uint value = inner.Read(offset, width);
        walk.End(step);
        Explain(step, offset, width, "→", value);
        return value;
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, uint value)
    {
        WalkStep? step = walk.Begin(WalkSide.Transport, "register write", "§4");
        inner.Write(offset, width, value);
        walk.End(step);
        Explain(step, offset, width, "←", value);
    }

    private void Explain(WalkStep? step, ulong offset, int width, string arrow, uint value)
    {
        if (step is null)
            return;
        walk.Pause();
        step.Lines.Add(string.Create(CultureInfo.InvariantCulture, $"{place}+0x{offset:x} {names.Of(offset)} {arrow} 0x{(value & RegisterAccess.AllOnes(width)).ToString($"x{2 * width}", CultureInfo.InvariantCulture)}"));
        walk.Resume();
    }
}

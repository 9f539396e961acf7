namespace VirtioSharp.Qemu.Qtest;

/// <summary>The levels of an interrupt controller's inputs, followed by what QEMU tells of each change.</summary>
internal sealed class InterruptLines
{
    private const int Timer = 0; // x86's: QEMU 7.2's clock runs on, and nobody here waits for it
    private readonly bool[] _raised = new bool[1024]; // as many inputs as an ARM GIC has at most

    public long Changes { get; private set; }

    public bool IsRaised(int number) => _raised[number];

    /// <summary>Whether the line told of an interrupt. If it is of none of ours, nothing changes.</summary>
    public bool TryFollow(ReadOnlySpan<byte> line)
    {
        if (!QtestReply.TryInterrupt(line, out int number, out bool raised) || number >= _raised.Length)
            return false;
        if (number != Timer)
        {
            _raised[number] = raised;
            Changes++;
        }

        return true;
    }
}

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>A window in front of another that shows and takes whatever a test wants, access by access; behind it may be nothing.</summary>
internal sealed class RewrittenWindow(IRegisterWindow? behind = null) : IRegisterWindow
{
    /// <summary>What a register reads, given what it ought to.</summary>
    public Func<int, uint, uint> OnRead { get; set; } = (_, honest) => honest;

    /// <summary>Whether a write arrives.</summary>
    public Func<int, uint, bool> OnWrite { get; set; } = (_, _) => true;

    public List<(int Register, uint Value)> Written { get; } = [];

    public ulong Length { get; init; } = 0x200;

    public uint Read(ulong offset, int width) => OnRead((int)offset, behind?.Read(offset, width) ?? 0);

    public void Write(ulong offset, int width, uint value)
    {
        Written.Add(((int)offset, value));
        if (OnWrite((int)offset, value))
            behind?.Write(offset, width, value);
    }
}

using VirtioSharp.Fuzz.Engine;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A planted bug behind three magic bytes: what guidance finds in seconds and chance in a day. It proves that guidance works.</summary>
internal sealed class ToyTarget : ITarget
{
    public string Name => "toy";

    public int MaxLength => 16;

    // One test per byte, and each a branch of its own: that is all the guidance there is.
    public void Run(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 8)
            return;
        if (bytes[2] == 0x56)
            if (bytes[4] == 0x52)
                if (bytes[6] == 0x9D)
                    throw new FindingException("the toy's planted bug");
    }
}

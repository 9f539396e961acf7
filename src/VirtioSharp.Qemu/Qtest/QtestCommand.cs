using System.Buffers.Text;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>Puts one command's line together, in room of the caller's: <c>writel 0xfe000014 0xf</c>.</summary>
internal ref struct QtestCommand(Span<byte> room)
{
    /// <summary>Enough for any command with two numbers.</summary>
    public const int Bytes = 64;

    private readonly Span<byte> _room = room;
    private int _length;

    /// <summary>The whole line. To be taken once.</summary>
    public ReadOnlySpan<byte> Line
    {
        get
        {
            _room[_length++] = (byte)'\n';
            return _room[.._length];
        }
    }

    public void Verb(ReadOnlySpan<byte> verb)
    {
        verb.CopyTo(_room[_length..]);
        _length += verb.Length;
    }

    /// <summary>The letter by which a command tells its width.</summary>
    public void Width(int bytes) => _room[_length++] = bytes switch
    {
        1 => (byte)'b',
        2 => (byte)'w',
        4 => (byte)'l',
        8 => (byte)'q',
        _ => throw new ArgumentOutOfRangeException(nameof(bytes), bytes, "an access has 1, 2, 4 or 8 bytes"),
    };

    public void Number(ulong value)
    {
        " 0x"u8.CopyTo(_room[_length..]);
        Utf8Formatter.TryFormat(value, _room[(_length + 3)..], out int digits, 'x');
        _length += 3 + digits;
    }
}

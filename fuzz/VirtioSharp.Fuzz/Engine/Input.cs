namespace VirtioSharp.Fuzz.Engine;

/// <summary>The bytes of one run, read from front to back; behind their end everything is 0.</summary>
internal sealed class Input
{
    private byte[] _bytes = [];
    private int _length;
    private int _at;

    public bool IsEmpty => _at >= _length;

    public void Start(ReadOnlySpan<byte> bytes)
    {
        if (_bytes.Length < bytes.Length)
            _bytes = new byte[bytes.Length];
        bytes.CopyTo(_bytes);
        (_length, _at) = (bytes.Length, 0);
    }

    public byte Byte() => _at < _length ? _bytes[_at++] : (byte)0;

    public ushort Word() => (ushort)(Byte() | Byte() << 8);

    public uint Double() => Word() | (uint)Word() << 16;

    public ulong Quad() => Double() | (ulong)Double() << 32;

    public int Below(int limit) => limit <= 1 ? 0 : limit <= 256 ? Byte() % limit : Word() % limit;

    public bool Bit() => (Byte() & 1) != 0;
}

using System.Buffers.Binary;

namespace VirtioSharp.Fuzz.Engine;

/// <summary>Makes a new input of known ones: flipped bits, values at the edges of something, pieces moved and joined.</summary>
internal sealed class Mutator(Random random, int maxLength)
{
    private static readonly ulong[] Interesting =
        [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, uint.MaxValue, ulong.MaxValue - 15, ulong.MaxValue];

    private readonly byte[] _bytes = new byte[maxLength];
    private int _length;

    /// <summary>Valid until the next call.</summary>
    public ReadOnlySpan<byte> Mutate(ReadOnlySpan<byte> parent, ReadOnlySpan<byte> other)
    {
        _length = Math.Min(parent.Length, maxLength);
        parent[.._length].CopyTo(_bytes);
        for (int left = 1 << random.Next(5); left > 0; left--)
            Once(other);
        return _bytes.AsSpan(0, _length);
    }

    private void Once(ReadOnlySpan<byte> other)
    {
        if (_length == 0)
        {
            Insert(0, [(byte)random.Next(256)]);
            return;
        }

        int at = random.Next(_length);
        switch (random.Next(12))
        {
            case 0:
                _bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                _bytes[at] = (byte)random.Next(256);
                break;
            case 2:
                _bytes[at] += (byte)random.Next(-16, 17);
                break;
            case 3 or 4:
                WriteInteresting(at, 1 << random.Next(4));
                break;
            case 5:
                Remove(at, random.Next(1, Math.Min(_length - at, 32) + 1));
                break;
            case 6:
                Span<byte> noise = stackalloc byte[random.Next(1, 9)];
                random.NextBytes(noise);
                Insert(at, noise);
                break;
            case 7: // a piece of itself, again
                Insert(random.Next(_length + 1), _bytes.AsSpan(at, random.Next(1, Math.Min(_length - at, 64) + 1)).ToArray());
                break;
            case 8: // a piece of itself, over another
                int count = random.Next(1, Math.Min(_length - at, 32) + 1);
                _bytes.AsSpan(at, count).CopyTo(_bytes.AsSpan(random.Next(_length - count + 1)));
                break;
            case 9 when other.Length > 0: // splice: this front, that tail
                int from = random.Next(other.Length);
                int rest = Math.Min(other.Length - from, maxLength - at);
                other.Slice(from, rest).CopyTo(_bytes.AsSpan(at));
                _length = at + rest;
                break;
            case 10 when other.Length > 0:
                int start = random.Next(other.Length);
                Insert(at, other.Slice(start, random.Next(1, Math.Min(other.Length - start, 64) + 1)));
                break;
            default:
                ushort word = BinaryPrimitives.ReadUInt16LittleEndian(Padded(at));
                BinaryPrimitives.WriteUInt16LittleEndian(Padded(at), (ushort)(word + random.Next(-4, 5)));
                break;
        }
    }

    private void WriteInteresting(int at, int width)
    {
        Span<byte> value = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(value, Interesting[random.Next(Interesting.Length)]);
        width = Math.Min(width, _length - at);
        value[..width].CopyTo(_bytes.AsSpan(at));
    }

    private Span<byte> Padded(int at) => _bytes.AsSpan(Math.Max(0, Math.Min(at, maxLength - 2)), 2);

    private void Insert(int at, ReadOnlySpan<byte> piece)
    {
        piece = piece[..Math.Min(piece.Length, maxLength - _length)];
        _bytes.AsSpan(at, _length - at).CopyTo(_bytes.AsSpan(at + piece.Length));
        piece.CopyTo(_bytes.AsSpan(at));
        _length += piece.Length;
    }

    private void Remove(int at, int count)
    {
        _bytes.AsSpan(at + count, _length - at - count).CopyTo(_bytes.AsSpan(at));
        _length -= count;
    }
}

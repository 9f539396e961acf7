using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>The buffers of a chain to be added: readable ones, then writable ones (§2.6.4).</summary>
internal readonly ref struct ChainBuffers(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
{
    private readonly ReadOnlySpan<DmaBuffer> _readable = readable;
    private readonly ReadOnlySpan<DmaBuffer> _writable = writable;

    public int Count => _readable.Length + _writable.Length;

    public DmaBuffer this[int index] => index < _readable.Length ? _readable[index] : _writable[index - _readable.Length];

    public bool IsWritable(int index) => index >= _readable.Length;

    /// <summary>Bytes that the device may write.</summary>
    public ulong WritableBytes
    {
        get
        {
            ulong bytes = 0;
            foreach (DmaBuffer buffer in _writable)
                bytes += (ulong)buffer.Length;
            return bytes;
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Linux;

namespace VirtioSharp.Backends.Nbd;

/// <summary>Requests on their way to the server, as many with one system call as there are; data goes out of the driver's own memory.</summary>
internal sealed unsafe class NbdSender
{
    private readonly Queue<NbdRequest> _waiting = new();
    private readonly VectorList _pieces = new();
    private long _sent; // bytes of the first one that have gone

    public bool IsIdle => _waiting.Count == 0;

    public void Add(NbdRequest request) => _waiting.Enqueue(request);

    /// <summary>The connection is lost.</summary>
    public void Clear()
    {
        _waiting.Clear();
        _sent = 0;
    }

    /// <summary>Sends what there is room for.</summary>
    /// <returns>False when more is waiting for room.</returns>
    public bool Send(StreamSocket socket)
    {
        while (_waiting.Count > 0)
        {
            Gather();
            nint sent = socket.Send(_pieces.Items);
            if (sent == StreamSocket.WouldBlock)
                return false;
            Consume(sent);
        }

        return true;
    }

    private void Gather()
    {
        _pieces.Clear();
        long skip = _sent;
        foreach (NbdRequest request in _waiting)
        {
            if (_pieces.IsFull)
                return;
            if (skip < NbdProtocol.RequestBytes)
                _pieces.Add(new IoVector((nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(request.Header)), NbdProtocol.RequestBytes).Skip((nint)skip));
            long from = Math.Max(0, skip - NbdProtocol.RequestBytes);
            if (request.Payload > 0 && request.List(_pieces, from, request.Payload - from) < request.Payload - from)
                return;
            skip = 0;
        }
    }

    private void Consume(long bytes)
    {
        while (bytes > 0)
        {
            NbdRequest first = _waiting.Peek();
            long left = NbdProtocol.RequestBytes + first.Payload - _sent;
            if (bytes < left)
            {
                _sent += bytes;
                return;
            }

            first.IsSent = true;
            _waiting.Dequeue();
            (bytes, _sent) = (bytes - left, 0);
        }
    }
}

namespace VirtioSharp.Backends.Nbd;

/// <summary>Which bytes of a read have come. A server may send them in any order and in any pieces, but none twice.</summary>
internal sealed class Coverage
{
    /// <summary>Most pieces with gaps between them: servers send one after the other, and a gap costs us.</summary>
    private const int MaxPieces = 4096;

    private readonly List<(long Start, long End)> _pieces = []; // in order, with gaps between them

    /// <summary>How many have come.</summary>
    public long Bytes { get; private set; }

    /// <summary>None.</summary>
    public void Clear()
    {
        _pieces.Clear();
        Bytes = 0;
    }

    /// <summary>These have come.</summary>
    /// <returns>False when one of them had come before, or there are too many gaps.</returns>
    public bool TryAdd(long start, long end)
    {
        int at = FirstThatEndsFrom(start);
        bool joinsLeft = at < _pieces.Count && _pieces[at].End == start;
        int next = joinsLeft ? at + 1 : at;
        if (next < _pieces.Count && _pieces[next].Start < end)
            return false;
        bool joinsRight = next < _pieces.Count && _pieces[next].Start == end;
        switch (joinsLeft, joinsRight)
        {
            case (true, true):
                _pieces[at] = (_pieces[at].Start, _pieces[next].End);
                _pieces.RemoveAt(next);
                break;
            case (true, false):
                _pieces[at] = (_pieces[at].Start, end);
                break;
            case (false, true):
                _pieces[next] = (start, _pieces[next].End);
                break;
            case (false, false) when _pieces.Count < MaxPieces:
                _pieces.Insert(at, (start, end));
                break;
            default:
                return false;
        }

        Bytes += end - start;
        return true;
    }

    private int FirstThatEndsFrom(long start)
    {
        int low = 0, high = _pieces.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_pieces[middle].End < start)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}

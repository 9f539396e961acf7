using VirtioSharp.Devices.Block;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Block;

/// <summary>One flush at a time; those that come meanwhile share the next.</summary>
/// <remarks>
/// Storage tells a lost write to one flush only. Of two at once the other would end well, and could be answered before
/// anybody knows. So a flush begins when the one before has ended, and fails if that had.
/// </remarks>
internal sealed class FlushTurns
{
    private readonly List<BlockOperation> _ending = [];
    private List<BlockOperation> _underWay = [], _waiting = [];

    /// <summary>For whom the flush is that is under way, or is to begin: any of those it is for.</summary>
    public BlockOperation First => _underWay[0];

    /// <returns>Whether it is the caller's to begin one now.</returns>
    public bool Add(BlockOperation flush)
    {
        bool begins = _underWay.Count == 0;
        (begins ? _underWay : _waiting).Add(flush);
        return begins;
    }

    /// <summary>Whether a flush of this queue is not answered.</summary>
    public bool IsBusyWith(int queue)
    {
        foreach (BlockOperation flush in _underWay)
        {
            if (flush.Queue == queue)
                return true;
        }

        foreach (BlockOperation flush in _waiting)
        {
            if (flush.Queue == queue)
                return true;
        }

        return false;
    }

    /// <summary>Gives up those of a queue. The one under way, if any, has been given up already.</summary>
    /// <returns>Whether others are left, for whom the caller begins another now.</returns>
    public bool Abandon(int queue)
    {
        Abandon(_underWay, queue);
        Abandon(_waiting, queue);
        if (_underWay.Count == 0)
            (_underWay, _waiting) = (_waiting, _underWay);
        return _underWay.Count > 0;
    }

    /// <summary>The one under way has ended: those it was for are answered.</summary>
    /// <param name="status">How.</param>
    /// <returns>Whether others have waited, for whom the caller begins another now.</returns>
    public bool End(BlockStatus status)
    {
        _ending.AddRange(_underWay);
        _underWay.Clear();
        (_underWay, _waiting) = (_waiting, _underWay);
        bool begins = _underWay.Count > 0;
        foreach (BlockOperation flush in _ending)
            flush.Complete(status);
        _ending.Clear();
        return begins;
    }

    private static void Abandon(List<BlockOperation> flushes, int queue)
    {
        for (int i = flushes.Count - 1; i >= 0; i--)
        {
            if (flushes[i].Queue != queue)
                continue;
            flushes[i].Abandon();
            flushes.RemoveAt(i);
        }
    }
}

namespace VirtioSharp.Qemu;

/// <summary>The last lines of a program that talks without end, for the one line of an error.</summary>
internal sealed class LastWords(int capacity)
{
    private readonly Queue<string> _lines = [];

    public void Add(string line)
    {
        lock (_lines)
        {
            if (string.IsNullOrWhiteSpace(line))
                return;
            if (_lines.Count == capacity)
                _lines.Dequeue();
            _lines.Enqueue(line.Trim());
        }
    }

    public override string ToString()
    {
        lock (_lines)
            return _lines.Count == 0 ? "(nothing)" : string.Join(" | ", _lines);
    }
}

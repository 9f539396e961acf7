using System.IO.MemoryMappedFiles;

namespace VirtioSharp.Fuzz.Engine;

/// <summary>The input that is being run, in a mapped file: it is still there when the process that ran it is not.</summary>
internal sealed unsafe class CurrentInput : IDisposable
{
    private const int Capacity = 1 << 16;

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;

    public CurrentInput(string path)
    {
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.OpenOrCreate, null, Capacity);
        _view = _file.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
    }

    public void Set(ReadOnlySpan<byte> input)
    {
        *(int*)_start = input.Length;
        input.CopyTo(new Span<byte>(_start + sizeof(int), Capacity - sizeof(int)));
    }

    public byte[] Get() => new ReadOnlySpan<byte>(_start + sizeof(int), *(int*)_start).ToArray();

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}

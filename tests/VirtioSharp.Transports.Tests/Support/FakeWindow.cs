using Xunit;
namespace VirtioSharp.Transports.Tests.Support;

/// <summary>Registers that are memory, unless a test says otherwise.</summary>
internal sealed class FakeWindow(ulong length, FakePciFunction function, string name) : IRegisterWindow
{
    private readonly byte[] _bytes = new byte[Math.Min(length, 1 << 20)];

    public ulong Length => length;

    /// <summary>Every access, reads too, as <c>R 14/1</c> and <c>W 14/1 = f</c>.</summary>
    public List<string> Log { get; } = [];

    public bool IsLogging { get; set; } = true;

    public Func<int, int, uint?> OnRead { get; set; } = (_, _) => null;

    /// <summary>True: it is done.</summary>
    public Func<int, int, uint, bool> OnWrite { get; set; } = (_, _, _) => false;

    public uint Get(int offset, int width) => Bytes.Get(_bytes.AsSpan(offset), width);

    public void Set(int offset, int width, uint value) => Bytes.Set(_bytes.AsSpan(offset), width, value);

    public uint Read(ulong offset, int width)
    {
        Check(offset, width);
        if (IsLogging)
            Log.Add($"R {offset:x}/{width}");
        return function.IsUnplugged ? uint.MaxValue >> (32 - 8 * width) : OnRead((int)offset, width) ?? Get((int)offset, width);
    }

    public void Write(ulong offset, int width, uint value)
    {
        Check(offset, width);
        if (width < 4)
            value &= (1u << (8 * width)) - 1;
        if (IsLogging)
        {
            Log.Add($"W {offset:x}/{width} = {value:x}");
            function.Writes.Add($"{name} {offset:x}/{width} = {value:x}");
        }

        if (function.IsUnplugged)
            return;
        if (!OnWrite((int)offset, width, value))
            Set((int)offset, width, value);
    }

    private void Check(ulong offset, int width)
    {
        if (width is not (1 or 2 or 4) || offset > length - (ulong)width)
            Assert.Fail($"{name}: {width} bytes at {offset}");
    }
}

internal static class Bytes
{
    public static uint Get(ReadOnlySpan<byte> from, int width)
    {
        uint value = 0;
        for (int i = 0; i < width; i++)
            value |= (uint)from[i] << (8 * i);
        return value;
    }

    public static void Set(Span<byte> to, int width, uint value)
    {
        for (int i = 0; i < width; i++)
            to[i] = (byte)(value >> (8 * i));
    }
}

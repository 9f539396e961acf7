using VirtioSharp.Transports;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>Registers in x86's I/O space.</summary>
internal sealed class QtestIoWindow(QtestClient qtest, ushort start, ulong length) : IRegisterWindow
{
    public ulong Length => length;

    public uint Read(ulong offset, int width) => qtest.In(At(offset, width), width);

    public void Write(ulong offset, int width, uint value) => qtest.Out(At(offset, width), width, value);

    private ushort At(ulong offset, int width) => (ushort)(start + WindowBounds.Check(offset, width, length));
}

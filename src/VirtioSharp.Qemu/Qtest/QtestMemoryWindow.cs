using VirtioSharp.Transports;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>Registers in the machine's physical memory.</summary>
internal sealed class QtestMemoryWindow(QtestClient qtest, ulong start, ulong length) : IRegisterWindow
{
    public ulong Length => length;

    public uint Read(ulong offset, int width) => (uint)qtest.Read(start + WindowBounds.Check(offset, width, length), width);

    public void Write(ulong offset, int width, uint value) => qtest.Write(start + WindowBounds.Check(offset, width, length), width, value);
}

using VirtioSharp.Core.Errors;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>A structure that a capability points to: a part of a BAR. No access leaves it.</summary>
internal sealed class RegisterStructure(IPciFunction function, string name, IRegisterWindow window, ulong start, ulong length) : IRegisterWindow
{
    public ulong Length => length;

    /// <summary>Where it starts in its window.</summary>
    public ulong Start => start;

    /// <exception cref="TransportException">Out of bounds, or the device has been unplugged.</exception>
    public uint Read(ulong offset, int width)
    {
        Check(offset, width);
        uint value = window.Read(start + offset, width);
        if (value == uint.MaxValue >> (32 - 8 * width))
            function.ThrowIfUnplugged(name);
        return value;
    }

    /// <exception cref="TransportException">Out of bounds.</exception>
    public void Write(ulong offset, int width, uint value)
    {
        Check(offset, width);
        window.Write(start + offset, width, value);
    }

    private void Check(ulong offset, int width)
    {
        if ((ulong)width > length || offset > length - (ulong)width)
            Refuse(offset, width);
    }

    private void Refuse(ulong offset, int width) =>
        throw new TransportException($"{function.Name}: {name}: {width} bytes at 0x{offset:x} are beyond its 0x{length:x} bytes");
}

using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Transports.Tests.Support;

/// <summary>A chipset with functions in it. An access reaches whoever decodes the address at that moment.</summary>
internal sealed class FakePciHost : IPciHost
{
    public Dictionary<PciAddress, FakePciFunction> Functions { get; } = [];

    public int Cycles { get; private set; }

    public DmaArena Dma { get; } = DmaArena.CreateLocal(new GuestAddress(0x10_0000), 1 << 20);

    public TimeProvider Time => TimeProvider.System;

    public PciAperture IoAperture { get; set; } = new(0xC000, 0x1000);

    public PciAperture MemoryAperture { get; set; } = new(0xE000_0000, 0x10_0000);

    public uint ReadConfiguration(PciAddress address, int offset, int width)
    {
        Cycles++;
        return Functions.TryGetValue(address, out FakePciFunction? function) ? function.ReadConfiguration(offset, width) : uint.MaxValue >> (32 - 8 * width);
    }

    public void WriteConfiguration(PciAddress address, int offset, int width, uint value)
    {
        Cycles++;
        if (Functions.TryGetValue(address, out FakePciFunction? function))
            function.WriteConfiguration(offset, width, value);
    }

    public IRegisterWindow OpenIo(ulong address, ulong length) => new Space(this, address, length, true);

    public IRegisterWindow OpenMemory(ulong address, ulong length) => new Space(this, address, length, false);

    public IPciInterrupts OpenInterrupts(PciAddress address) => Functions[address].Wires;

    public void Dispose() => Dma.Dispose();

    private (FakeWindow, ulong)? Decode(ulong address, bool io)
    {
        foreach (FakePciFunction function in Functions.Values)
            for (int bar = 0; bar < 6; bar++)
            {
                uint low = function.Get(PciConfigurationRegister.Bar(bar), 4);
                bool isIo = (low & 1) != 0;
                if (function.Bars[bar] is not { } window || isIo != io || (function.Command & (io ? PciCommand.IoSpace : PciCommand.MemorySpace)) == 0)
                    continue;
                ulong start = isIo ? low & ~3u : low & ~15u;
                if ((low & 7) == 4)
                    start |= (ulong)function.Get(PciConfigurationRegister.Bar(bar + 1), 4) << 32;
                if (address - start < window.Length)
                    return (window, address - start);
            }

        return null;
    }

    private sealed class Space(FakePciHost host, ulong start, ulong length, bool io) : IRegisterWindow
    {
        public ulong Length => length;

        public uint Read(ulong offset, int width) =>
            host.Decode(start + offset, io) is var (window, at) ? window.Read(at, width) : uint.MaxValue >> (32 - 8 * width);

        public void Write(ulong offset, int width, uint value)
        {
            if (host.Decode(start + offset, io) is var (window, at))
                window.Write(at, width, value);
        }
    }
}

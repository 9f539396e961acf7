using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;

namespace VirtioSharp.Transports.Mmio;

/// <summary>The machine between a virtio-mmio device and its driver, in one process and on one thread: window, line and memory.</summary>
/// <remarks>As <c>LoopbackTransport</c>, but every word between them is a register access. The device's alarm goes off while its driver waits.</remarks>
public sealed class SoftwareMmio : IRegisterWindow, IInterruptLine, IDisposable
{
    /// <summary>Where the device sees the arena: nothing like a pointer, and low enough for the page numbers of version 1.</summary>
    private static readonly GuestAddress ArenaStart = new(0x1_0000_0000);

    private readonly InProcessLoop _loop;

    /// <summary>Puts <paramref name="device"/> into a machine.</summary>
    /// <param name="device">A device without a host.</param>
    /// <param name="options">How it is shown.</param>
    /// <param name="arenaBytes">Memory for the driver's rings and buffers.</param>
    public SoftwareMmio(VirtioDevice device, MmioFunctionOptions? options = null, int arenaBytes = 4 << 20)
    {
        options ??= new MmioFunctionOptions();
        Time = options.Host.Time;
        _loop = new InProcessLoop(Time);
        Function = new VirtioMmioFunction(device, _loop, options);
        Dma = DmaArena.CreateLocal(ArenaStart, arenaBytes);
        Function.Host.SetMemory(MemoryMap.Create([Dma.Region]));
    }

    /// <summary>The device's side.</summary>
    public VirtioMmioFunction Function { get; }

    /// <summary>Memory that both sides reach.</summary>
    public DmaArena Dma { get; }

    /// <summary>The device's clock, and its driver's.</summary>
    public TimeProvider Time { get; }

    /// <inheritdoc/>
    public ulong Length => Function.Length;

    /// <inheritdoc/>
    public bool IsRaised
    {
        get
        {
            Flush(); // a device may have completed something between two accesses
            return Function.IsInterruptRaised;
        }
    }

    /// <summary>The driver's side.</summary>
    /// <exception cref="Core.Errors.TransportException">See <see cref="MmioTransport.Open"/>.</exception>
    public MmioTransport Open() => MmioTransport.Open(this, this, Dma, Time);

    /// <inheritdoc/>
    public uint Read(ulong offset, int width) => Function.Read(offset, width);

    /// <inheritdoc/>
    public void Write(ulong offset, int width, uint value)
    {
        Function.Write(offset, width, value);
        while (Function.IsBehind)
            Function.Wake();
        Flush();
    }

    /// <inheritdoc/>
    public bool Wait(TimeSpan timeout)
    {
        while (!IsRaised)
        {
            // Nobody else runs here: only the device's alarm can still bring an interrupt.
            if (!_loop.WaitForAlarm(ref timeout))
                return false;
            Function.Wake();
        }

        return true;
    }

    /// <summary>Resets the device and frees the arena.</summary>
    public void Dispose()
    {
        Function.Write(MmioRegister.Status, 4, (uint)DeviceStatus.Reset);
        Function.Host.SetMemory(MemoryMap.Empty);
        Dma.Dispose();
    }

    private void Flush()
    {
        if (_loop.TakeFlush())
            Function.Flush();
    }
}

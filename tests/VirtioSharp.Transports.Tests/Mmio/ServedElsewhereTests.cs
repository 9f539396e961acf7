using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The driver accesses registers on one thread and the device is served on another, as a machine monitor has it.</summary>
public sealed class ServedElsewhereTests
{
    [Theory]
    [InlineData(MmioVersion.Current)]
    [InlineData(MmioVersion.Legacy)]
    [Proves("Notification without registers", "in-process MMIO")]
    public void A_device_on_a_thread_of_its_own_is_rung_and_interrupts_from_there(MmioVersion version)
    {
        using var dma = DmaArena.CreateLocal(new GuestAddress(0x8000_0000), 1 << 20);
        using var machine = new TwoThreads(new RngDevice(limit: new RateLimit(1 << 20, TimeSpan.FromSeconds(1))), dma, version);
        byte[] bytes = new byte[100_000];

        using (MmioTransport transport = MmioTransport.Open(machine, machine, dma))
        using (var driver = new RngDriver(transport))
            Assert.Equal(bytes.Length, driver.Read(bytes, TimeSpan.FromSeconds(30)));

        Assert.True(bytes.Distinct().Count() > 200);
    }

    /// <summary>Everything but the three registers of the fast path waits for the other thread's turn to end.</summary>
    private sealed class TwoThreads : IRegisterWindow, IInterruptLine, IWakeUp, IDisposable
    {
        private readonly VirtioMmioFunction _function;
        private readonly Lock _turn = new();
        private readonly AutoResetEvent _rung = new(initialState: false), _rose = new(initialState: false);
        private readonly Thread _server;
        private TimeSpan _alarm = Timeout.InfiniteTimeSpan;
        private volatile bool _ends;

        public TwoThreads(RngDevice device, DmaArena dma, MmioVersion version)
        {
            _function = new VirtioMmioFunction(device, this, new MmioFunctionOptions { Version = version });
            _function.Host.SetMemory(MemoryMap.Create([dma.Region]));
            _function.SetDoorbell(0, () => _rung.Set());
            _function.LineChanged = raised =>
            {
                if (raised)
                    _rose.Set();
            };
            _server = new Thread(Serve);
            _server.Start();
        }

        public ulong Length => _function.Length;

        public bool IsRaised => _function.IsInterruptRaised;

        public uint Read(ulong offset, int width)
        {
            if (offset == MmioRegister.InterruptStatus)
                return _function.Read(offset, width);
            lock (_turn)
                return _function.Read(offset, width);
        }

        public void Write(ulong offset, int width, uint value)
        {
            if (offset is MmioRegister.QueueNotify or MmioRegister.InterruptAcknowledge)
            {
                _function.Write(offset, width, value);
                return;
            }

            lock (_turn)
                _function.Write(offset, width, value);
        }

        public bool Wait(TimeSpan timeout) => IsRaised || _rose.WaitOne(timeout);

        public void WakeAfter(TimeSpan delay) => _alarm = delay;

        public void FlushSoon() => _rung.Set();

        public void Dispose()
        {
            _ends = true;
            _rung.Set();
            _server.Join();
            _rung.Dispose();
            _rose.Dispose();
        }

        private void Serve()
        {
            while (!_ends)
            {
                bool isRung = _rung.WaitOne(_alarm);
                lock (_turn)
                {
                    if (isRung)
                    {
                        _function.Notify(0);
                        _function.Flush();
                    }
                    else
                    {
                        _alarm = Timeout.InfiniteTimeSpan;
                        _function.Wake();
                    }
                }
            }
        }
    }
}

using System.Diagnostics;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Support;
using Xunit;
using Register = VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>Functions that answer anything: whatever they say, the driver ends soon, and with one of its own errors.</summary>
public sealed class GarbageFunctionTests
{
    [Fact]
    [Proves("Hostile device", "in-process PCI, modern")]
    public void Configuration_space_with_random_bytes_in_it_ends_in_a_typed_error_or_works() =>
        Survives(1500, random =>
        {
            var device = new ScriptedDevice(device: (ushort)random.Next(0x1040, 0x1080)) { QueueSizes = [256, 64] };
            FakePciFunction function = device.Function;
            for (int i = random.Next(1, 6); i > 0; i--)
                function.Configuration[random.Next(0x34, 0xB0)] = Byte(random);
            if (random.Next(4) == 0)
                random.NextBytes(function.Configuration.AsSpan(random.Next(0x40, 0x100)));
            function.Configuration[PciConfigurationRegister.CapabilityPointer] = (byte)(random.Next(8) == 0 ? Byte(random) : 0x40);
            return function;
        });

    [Fact]
    [Proves("Hostile device", "in-process PCI, modern")]
    public void Registers_that_read_as_anything_end_in_a_typed_error_or_work() =>
        Survives(1000, random =>
        {
            var device = new ScriptedDevice { Offered = Features.Version1 | Features.RingReset | Features.NotificationData };
            Func<int, int, uint?> honest = device.Registers.OnRead;
            int lies = random.Next(1, 30);
            // What is waited for is left alone, or each run would wait a second for a reset.
            device.Registers.OnRead = (offset, width) => offset is not (Register.DeviceStatus or Register.QueueReset) && random.Next(lies) == 0 ? Wide(random, width) : honest(offset, width);
            return device.Function;
        });

    [Fact]
    [Proves("Hostile device", "in-process PCI, legacy")]
    public void Legacy_registers_that_read_as_anything_end_in_a_typed_error_or_work() =>
        Survives(1000, random =>
        {
            var device = new ScriptedLegacyDevice();
            Func<int, int, uint?> honest = device.Registers.OnRead;
            int lies = random.Next(1, 30);
            device.Registers.OnRead = (offset, width) =>
                offset != LegacyPciRegister.DeviceStatus && random.Next(lies) == 0 ? Wide(random, width) : honest(offset, width);
            return device.Function;
        });

    [Fact]
    [Proves("Hostile device", "in-process PCI, modern")]
    public void A_bus_of_functions_that_answer_anything_is_scanned_and_opened_in_bounded_time()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            using var host = new FakePciHost { MemoryAperture = new(0xE000_0000, 1UL << random.Next(12, 40)) };
            var function = new FakePciFunction();
            function.OnConfigurationRead = (offset, width) => random.Next(3) == 0 ? Wide(random, width) : null;
            host.Functions[new(0, (byte)random.Next(32))] = function;
            using var bus = new PciBus(host);
            for (int scan = 0; scan < 3; scan++)
            {
                _ = bus.Scan();
                foreach (PciBusEntry entry in bus.Functions)
                    _ = Record.Exception(() => bus.Open(entry.Address)) is null or TransportException or InvalidOperationException ? 0 : throw new InvalidOperationException($"seed {seed}");
            }

            Assert.InRange(host.Cycles, 1, 10_000);
        }
    }

    private static void Survives(int seeds, Func<Random, FakePciFunction> make)
    {
        int worked = 0, failed = 0;
        for (int seed = 0; seed < seeds; seed++)
        {
            FakePciFunction function = make(new Random(seed));
            long start = Stopwatch.GetTimestamp();
            Exception? error = Record.Exception(() => Drive(function));
            if (error is not (null or TransportException or QueueException))
                throw new InvalidOperationException($"seed {seed}", error);
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(20), $"seed {seed} took {Stopwatch.GetElapsedTime(start)}");
            _ = error is null ? worked++ : failed++;
            function.Dma.Dispose();
        }

        Assert.True(worked > 0 && failed > 0, $"{worked} worked, {failed} failed");
    }

    private static void Drive(FakePciFunction function)
    {
        using VirtioPciTransport transport = PciDrivers.Open(function);
        using DriverSession session = DriverSession.Open(transport, transport.DeviceId);
        for (int index = 0; index < 2; index++)
        {
            DriverQueue queue = session.EnableQueue(index, 16);
            transport.Notify(new((ushort)index, 1));
            if (session.NegotiatedFeatures.Has(Features.RingReset))
                _ = session.ResetQueue(queue, 8);
        }

        transport.ReadConfiguration(0, new byte[8]);
        function.Wires.IsLineRaised = true;
        _ = transport.WaitForInterrupt([InterruptSource.Configuration, InterruptSource.Queue(1)], TimeSpan.Zero);
    }

    // Garbage that is more often at an edge.
    private static byte Byte(Random random) => random.Next(3) switch { 0 => 0xFF, 1 => (byte)random.Next(8), _ => (byte)random.Next(256) };

    private static uint Wide(Random random, int width) =>
        (random.Next(4) switch { 0 => uint.MaxValue, 1 => (uint)random.Next(4), 2 => 1u << random.Next(32), _ => (uint)random.NextInt64(1L << 32) }) & (uint.MaxValue >> (32 - 8 * width));
}

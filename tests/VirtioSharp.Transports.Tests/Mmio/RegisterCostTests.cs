using System.Diagnostics;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>What an access costs: no memory, and little time.</summary>
public sealed class RegisterCostTests
{
    private const int Rounds = 20_000;

    // Resetting, and enabling or stopping a queue, may allocate.
    private static readonly int[] Writable =
    [
        MmioRegister.DeviceFeaturesSelect, MmioRegister.DriverFeaturesSelect, MmioRegister.DriverFeatures, MmioRegister.QueueSelect,
        MmioRegister.QueueSize, MmioRegister.QueueNotify, MmioRegister.InterruptAcknowledge, MmioRegister.QueueDescriptorArea,
        MmioRegister.QueueDriverArea + 4, MmioRegister.SharedMemorySelect, MmioRegister.GuestPageSize, MmioRegister.QueueAlign,
    ];

    [Theory]
    [InlineData(MmioVersion.Current)]
    [InlineData(MmioVersion.Legacy)]
    [Proves("No allocation per request", "in-process MMIO")]
    public void No_access_allocates(MmioVersion version)
    {
        using var machine = new SoftwareMmio(new RngDevice(), new MmioFunctionOptions { Version = version });
        VirtioMmioFunction function = machine.Function;
        Touch(function, 10);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Touch(function, 100);
        long after = GC.GetAllocatedBytesForCurrentThread();

        Assert.Equal(0, after - before);
    }

    [Theory]
    [InlineData(MmioVersion.Current)]
    [InlineData(MmioVersion.Legacy)]
    [Proves("No allocation per request", "in-process MMIO")]
    public void No_request_allocates_from_the_driver_through_registers_to_the_device_and_back(MmioVersion version)
    {
        using var machine = new SoftwareMmio(new RngDevice(), new MmioFunctionOptions { Version = version });
        using MmioTransport transport = machine.Open();
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[1000 * 64];
        driver.Read(bytes, TimeSpan.FromSeconds(30));

        long before = GC.GetAllocatedBytesForCurrentThread();
        int read = driver.Read(bytes, TimeSpan.FromSeconds(30));
        long after = GC.GetAllocatedBytesForCurrentThread();

        Assert.Equal((bytes.Length, 0L), (read, after - before));
    }

    [Theory]
    [InlineData(MmioRegister.InterruptStatus, false)]
    [InlineData(MmioRegister.Status, false)]
    [InlineData(MmioRegister.QueueReady, false)]
    [InlineData(MmioRegister.DeviceFeatures, false)]
    [InlineData(MmioRegister.DeviceConfiguration, false)]
    [InlineData(MmioRegister.QueueSelect, true)]
    [InlineData(MmioRegister.InterruptAcknowledge, true)]
    [InlineData(MmioRegister.QueueNotify, true)]
    public void An_access_takes_fewer_than_50_ns_at_its_best(int register, bool write)
    {
        using var panel = new Panel();
        VirtioMmioFunction function = panel.Machine.Function;
        panel.Start();
        panel.Device.IsRecording = false;
        function.SetDoorbell(0, () => { });
        double best = double.MaxValue;
        for (int batch = 0; batch < 200; batch++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < Rounds / 100; i++)
            {
                if (write)
                    function.Write((ulong)register, 4, 0);
                else
                    function.Read((ulong)register, 4);
            }

            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds / (Rounds / 100));
        }

        Assert.InRange(best, 0, 50); // the best batch, so that neither compilation nor a busy neighbour counts
    }

    private static void Touch(VirtioMmioFunction function, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            for (uint offset = 0; offset < 0x120; offset++)
                for (int width = 1; width <= 4; width++)
                    function.Read(offset, width);
            foreach (int register in Writable)
                function.Write((ulong)register, 4, (uint)(round & 1));
            function.RaiseInterrupt(InterruptStatus.UsedBuffer);
            function.Write(MmioRegister.InterruptAcknowledge, 4, 1);
            function.Write(MmioRegister.DeviceConfiguration, 1, 1);
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Bench;

/// <summary>
/// From a kick to its completion when the device is QEMU's and the kick is a line of text: against what cannot be
/// avoided, which is one command and the device's own work, done to a <see cref="BareQueue"/>. The kinds of measurement take turns.
/// </summary>
internal static class QtestRng
{
    private const int Rounds = 20;
    private const int PerRound = 200;
    private const int Many = 8; // as many as QEMU's queue holds

    public static async Task<int> RunAsync()
    {
        if (!QtestMachine.CanRun(QtestMachineType.Q35, out string? whyNot))
        {
            Console.Error.WriteLine(whyNot);
            return 1;
        }

        foreach (string options in (string[])["", ",ioeventfd=off"])
            await MeasureAsync(options);
        return 0;
    }

    private static async Task MeasureAsync(string options)
    {
        await using QtestMachine machine = await QtestMachine.StartAsync(new QtestOptions
        {
            Devices =
            [
                "-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0,addr=4" + options,
                "-object", "rng-builtin,id=r1", "-device", "virtio-rng-pci,rng=r1,addr=5" + options,
            ],
        });
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(64);
        using BareQueue bare = new(machine, bus.OpenFirst(DeviceId.Entropy)!);

        List<double> command = [], posted = [], least = [], one = [], more = [], ratio = [];
        for (int round = -2; round < Rounds; round++) // two to warm up
        {
            double asked = Time(() => transport.ReadStatus());
            double written = Time(() => machine.Qtest.Write(buffer.Address.Value, 4, 0), machine.Qtest.Flush);
            double unavoidable = Time(bare.Request, machine.Qtest.Flush);
            double single = Time(() => Request(queue, buffer, 1), machine.Qtest.Flush);
            double many = Time(() => Request(queue, buffer, Many), operations: PerRound / 10);
            if (round < 0)
                continue;
            command.Add(asked);
            posted.Add(written);
            least.Add(unavoidable);
            one.Add(single);
            more.Add((many - single) / (Many - 1));
            ratio.Add(single / unavoidable);
        }

        Console.WriteLine($"virtio-rng-pci{options}, {Rounds} rounds of {PerRound}, µs: median (min–max)");
        Print("a command and its answer", command);
        Print("a write, posted", posted);
        Print("one command and the device's work", least);
        Print("kick → used, 64 bytes", one);
        Print($"each of {Many - 1} more at a kick", more);
        Print("kick → used ÷ (command and work)", ratio);
        Console.WriteLine();
    }

    private static void Request(DriverQueue queue, DmaBuffer buffer, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (!queue.TryAdd([], [buffer], out _))
                throw new InvalidOperationException($"the queue has no room for {count} buffers");
        }

        queue.Kick();
        for (int got = 0; got < count;)
        {
            if (queue.TryGet(out _, out _))
                got++;
            else
                Thread.Yield(); // with two cores and neighbours, QEMU may need this one
        }
    }

    private static double Time(Action operation, Action? end = null, int operations = PerRound)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < operations; i++)
            operation();
        end?.Invoke();
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / operations;
    }

    private static void Print(string name, List<double> figures)
    {
        figures.Sort();
        string Show(double figure) => figure.ToString("F2", CultureInfo.InvariantCulture);
        Console.WriteLine($"  {name,-36} {Show(figures[figures.Count / 2]),8}  ({Show(figures[0])}–{Show(figures[^1])})");
    }
}

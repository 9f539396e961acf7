using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Modern;
using VirtioSharp.Transports.Tests.Support;
using Xunit;
using Register = VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Pci;

public sealed class PciInterruptTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly InterruptSource[] Both = [InterruptSource.Queue(0), InterruptSource.Queue(1)];
    private static readonly QueueLayout Layout = new(16, new(0x1000), new(0x2000), new(0x3000));

    [Fact]
    public void Every_queue_gets_a_vector_and_the_configuration_one()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);

        Assert.Equal(InterruptKind.VectorPerQueue, transport.UseInterrupts(2));

        Assert.Equal((0u, 1u, 2u), (device.ConfigurationVector, device.QueueRegister(0, Register.QueueVector), device.QueueRegister(1, Register.QueueVector)));
        Assert.Equal(MsixLayout.Enable | 3u, device.Function.Get(device.MsixAt + MsixLayout.ControlOffset, 2));
        Assert.Equal(PciCommand.InterruptDisable, device.Function.Command & PciCommand.InterruptDisable);
        for (int entry = 0; entry < 3; entry++)
            Assert.Equal((0xFEE0_0000u, 1u, 0x4000u + (uint)entry, 0u), Entry(device, entry));
    }

    [Fact]
    public void Entries_are_programmed_while_nothing_can_be_sent()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);

        _ = transport.UseInterrupts(0);

        string control = $"config {device.MsixAt + 2:x2}/2 = ";
        List<string> writes = device.Function.Writes;
        Assert.Equal([control + "c000", control + "8000"], writes.Where(write => write.StartsWith(control, StringComparison.Ordinal)));
        Assert.Equal(
            ["BAR1 c/4 = 1", "BAR1 0/4 = fee00000", "BAR1 4/4 = 1", "BAR1 8/4 = 4000", "BAR1 c/4 = 0"],
            writes.Where(write => write.StartsWith("BAR1", StringComparison.Ordinal)));
        Assert.True(writes.IndexOf(control + "8000") > writes.IndexOf("BAR4 10/2 = 0"));
    }

    [Theory]
    [InlineData(2, 64, "too few entries")]
    [InlineData(64, 2, "too few messages")]
    [InlineData(4, 64, "refuses vector 2")]
    public void With_too_few_vectors_the_queues_share_one(int entries, int messages, string why)
    {
        var device = new ScriptedDevice(vectors: entries) { RefusesVector = vector => why.StartsWith("refuses", StringComparison.Ordinal) && vector == 2 };
        device.Function.Wires.MaxMessages = messages;
        using var transport = new ModernPciTransport(device.Function);

        Assert.Equal(InterruptKind.SharedVector, transport.UseInterrupts(2));

        Assert.Equal((0u, 1u, 1u), (device.ConfigurationVector, device.QueueRegister(0, Register.QueueVector), device.QueueRegister(1, Register.QueueVector)));
        Assert.True(device.IsMsixEnabled);
    }

    [Theory]
    [InlineData(0, 64, false)] // no MSI-X
    [InlineData(1, 64, false)] // a single vector (§4.1.5.1.2.2)
    [InlineData(4, 0, false)] // the carrier has only lines
    [InlineData(4, 64, true)] // every vector refused
    public void Without_vectors_the_line_is_used_and_all_that_was_set_is_undone(int entries, int messages, bool refuses)
    {
        var device = new ScriptedDevice(vectors: entries) { RefusesVector = vector => refuses && vector == 1 };
        device.Function.Wires.MaxMessages = messages;
        using var transport = new ModernPciTransport(device.Function);

        Assert.Equal(InterruptKind.Line, transport.UseInterrupts(2));

        Assert.Equal((uint)VirtioPci.NoVector, device.ConfigurationVector);
        Assert.Equal((uint)VirtioPci.NoVector, device.QueueRegister(0, Register.QueueVector));
        Assert.Equal((uint)VirtioPci.NoVector, device.QueueRegister(1, Register.QueueVector));
        Assert.Equal(PciCommand.None, device.Function.Command & PciCommand.InterruptDisable);
        if (entries > 0)
            Assert.Equal((uint)entries - 1, device.Function.Get(device.MsixAt + MsixLayout.ControlOffset, 2));
        if (refuses)
            Assert.Equal((1u, 1u), (Entry(device, 0).Control, Entry(device, 1).Control));
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 0)]
    public void When_nothing_is_left_the_error_says_why_for_each_kind(bool hasLine, byte pin)
    {
        var device = new ScriptedDevice(vectors: 1);
        device.Function.Wires.HasLine = hasLine && pin == 0;
        device.Function.Set(PciConfigurationRegister.InterruptPin, 1, pin);
        using var transport = new ModernPciTransport(device.Function);

        TransportException error = Assert.Throws<TransportException>(() => transport.UseInterrupts(2));

        Assert.Contains("VectorPerQueue: the MSI-X table has 1 entries, 3 are needed; SharedVector: the MSI-X table has 1 entries, 2", error.Message, StringComparison.Ordinal);
        Assert.Contains("Line: the line leads nowhere", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x0000_0FF1u, "beyond the 0x1000 bytes of BAR 1")]
    [InlineData(0xFFFF_FFF9u, "beyond")]
    [InlineData(7u, "there is no BAR 7")]
    [InlineData(3u, "there is no BAR 3")]
    public void A_table_that_lies_nowhere_is_not_used(uint where, string why)
    {
        var device = new ScriptedDevice();
        device.Function.Set(device.MsixAt + MsixLayout.TableOffset, 4, where);
        device.Function.Wires.HasLine = false;
        using var transport = new ModernPciTransport(device.Function);

        Assert.Contains(why, Assert.Throws<TransportException>(() => transport.UseInterrupts(2)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Messages_that_do_not_turn_on_are_not_relied_on()
    {
        var device = new ScriptedDevice();
        device.Function.Writable[device.MsixAt + 3] = 0;
        using var transport = new ModernPciTransport(device.Function);

        Assert.Equal(InterruptKind.Line, transport.UseInterrupts(2));
        Assert.Equal((uint)VirtioPci.NoVector, device.ConfigurationVector);
    }

    [Theory]
    [InlineData(InterruptKind.SharedVector)]
    [InlineData(InterruptKind.Line)]
    public void A_driver_may_ask_for_less_and_for_another_kind_in_its_next_session(InterruptKind best)
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        Assert.Equal(InterruptKind.VectorPerQueue, transport.UseInterrupts(2));

        Assert.Equal(best, transport.UseInterrupts(2, best));

        Assert.Equal(best == InterruptKind.Line ? VirtioPci.NoVector : 1u, device.QueueRegister(1, Register.QueueVector));
        Assert.Equal(best != InterruptKind.Line, device.IsMsixEnabled);
        Assert.Equal(InterruptKind.VectorPerQueue, transport.UseInterrupts(2));
    }

    [Fact]
    public void A_queue_that_was_reset_gets_its_vector_back()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        transport.WriteDriverFeatures(Features.Version1 | Features.RingReset);
        _ = transport.UseInterrupts(2);
        transport.EnableQueue(1, Layout);

        transport.ResetQueue(1);
        Assert.Equal((uint)VirtioPci.NoVector, device.QueueRegister(1, Register.QueueVector));
        transport.EnableQueue(1, Layout);
        Assert.Equal(2u, device.QueueRegister(1, Register.QueueVector));

        device.RefusesVector = _ => true;
        transport.ResetQueue(1);
        Assert.Contains("MSI-X vector = 0xffff", Assert.Throws<QueueException>(() => transport.EnableQueue(1, Layout)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_message_is_of_its_queue_and_others_stay()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        FakeInterrupts wires = device.Function.Wires;
        wires.Messages.UnionWith([0, 1, 2]); // of a session before
        _ = transport.UseInterrupts(2);
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([.. Both, InterruptSource.Configuration], TimeSpan.Zero));

        wires.OnWait = () => wires.Messages.Add(2);
        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt(Both, Patience));

        int left = 3;
        wires.OnWait = () => left-- > 0 && (wires.Messages.Add(2) | wires.Messages.Add(0) || true);
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(0)], Patience)); // nothing can come any more
        Assert.Equal(InterruptSource.Configuration, transport.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt(Both, TimeSpan.Zero));
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt(Both, TimeSpan.Zero));
    }

    [Fact]
    public void A_shared_message_is_of_every_queue_once()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        _ = transport.UseInterrupts(2, InterruptKind.SharedVector);
        _ = device.Function.Wires.Messages.Add(1);

        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt([InterruptSource.Configuration, InterruptSource.Queue(1)], TimeSpan.Zero));
        Assert.Equal(InterruptSource.Queue(0), transport.WaitForInterrupt(Both, TimeSpan.Zero));
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt(Both, TimeSpan.Zero));
    }

    [Fact]
    public void The_line_says_what_it_is_for_and_is_read_until_it_is_down()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        _ = transport.UseInterrupts(2, InterruptKind.Line);
        device.RaiseLine(InterruptStatus.UsedBuffer);
        int raises = 2; // while the status is read, the device raises the line again
        device.Registers.OnRead = WithRaise(device, () => raises-- > 0);

        Assert.Equal(InterruptSource.Configuration, transport.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
        Assert.False(device.Function.Wires.IsLineRaised);
        Assert.Equal(InterruptSource.Queue(0), transport.WaitForInterrupt(Both, TimeSpan.Zero));
        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt(Both, TimeSpan.Zero));
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
    }

    [Fact]
    public void A_driver_that_set_nothing_up_is_interrupted_by_the_line()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        device.Function.Wires.OnWait = () =>
        {
            device.RaiseLine(InterruptStatus.UsedBuffer);
            return true;
        };

        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt([InterruptSource.Queue(1)], Timeout.InfiniteTimeSpan));
    }

    [Fact]
    public void A_line_that_stays_up_for_others_neither_spins_nor_hangs()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        _ = transport.UseInterrupts(2, InterruptKind.Line);
        device.RaiseLine(InterruptStatus.None);
        device.Registers.OnRead = (offset, _) => offset == ScriptedDevice.InterruptStatusAt ? 0u : null;
        device.Registers.Log.Clear();

        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt(Both, TimeSpan.FromMilliseconds(50)));

        Assert.InRange(device.Registers.Log.Count, 16, 50 * 16 + 32);
    }

    [Fact]
    public void A_carrier_that_wakes_in_vain_is_put_up_with_until_the_time_is_over()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        _ = transport.UseInterrupts(1);
        device.Function.Wires.OnWait = () => true;

        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt(Both, TimeSpan.FromMilliseconds(20)));
        Assert.InRange(device.Function.Wires.Waits, 2, int.MaxValue);
    }

    [Fact]
    public void A_device_that_is_pulled_out_while_its_line_is_up_is_noticed()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        device.RaiseLine(InterruptStatus.UsedBuffer);
        device.Function.IsUnplugged = true;

        Assert.Contains("unplugged", Assert.Throws<TransportException>(() => transport.WaitForInterrupt(Both, Patience)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_transport_is_left_reset_first_then_without_messages_then_without_memory()
    {
        var device = new ScriptedDevice();
        var transport = new ModernPciTransport(device.Function);
        device.Function.Set(PciConfigurationRegister.Command, 2, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
        transport.WriteStatus(DeviceStatus.Acknowledge);
        _ = transport.UseInterrupts(1);
        device.Function.Writes.Clear();

        transport.Dispose();
        transport.Dispose();

        List<string> writes = device.Function.Writes;
        int[] order =
        [
            writes.IndexOf("BAR4 14/1 = 0"), writes.IndexOf($"config {device.MsixAt + 2:x2}/2 = 0"),
            writes.IndexOf("config 04/2 = 2"), writes.IndexOf("dispose"),
        ];
        Assert.Equal(order.Order(), order);
        Assert.Equal(0, order[0]);
        Assert.Equal(writes.Count - 1, order[3]);
    }

    [Fact]
    public void A_device_that_never_resets_loses_the_bus_all_the_same()
    {
        var device = new ScriptedDevice { NeverResets = true };
        var transport = new ModernPciTransport(device.Function);
        device.Function.Set(PciConfigurationRegister.Command, 2, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
        transport.WriteStatus(DeviceStatus.Acknowledge);
        _ = transport.UseInterrupts(1);

        transport.Dispose();

        Assert.Equal((PciCommand.MemorySpace, false, true), (device.Function.Command, device.IsMsixEnabled, device.Function.IsDisposed));
    }

    private static (uint AddressLow, uint AddressHigh, uint Data, uint Control) Entry(ScriptedDevice device, int entry) =>
        (device.Table.Get(16 * entry, 4), device.Table.Get(16 * entry + 4, 4), device.Table.Get(16 * entry + 8, 4), device.Table.Get(16 * entry + 12, 4));

    private static Func<int, int, uint?> WithRaise(ScriptedDevice device, Func<bool> again)
    {
        Func<int, int, uint?> read = device.Registers.OnRead;
        return (offset, width) =>
        {
            uint? value = read(offset, width);
            if (offset == ScriptedDevice.InterruptStatusAt && again())
                device.RaiseLine(InterruptStatus.ConfigurationChange);
            return value;
        };
    }
}

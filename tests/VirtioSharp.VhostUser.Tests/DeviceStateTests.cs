using System.Buffers;
using VirtioSharp.Core.Device;
using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.VhostUser.Protocol.FrontEndRequest;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>A device's state goes over a pipe, from one back-end to another, and whatever else comes out of a pipe is refused.</summary>
[Collection(Alone.Name)] // one test counts descriptors
[Proves("DEVICE_STATE", "vhost-user")]
public sealed class DeviceStateTests
{
    private const uint Save = 0, Load = 1;
    private const ulong Granted = 0x100, Refused = 0x101;
    private const uint Writeback = 32; // where it lies in a disk's configuration space

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void What_a_driver_set_is_in_force_where_the_state_was_loaded(byte writeback)
    {
        using var source = new ServedDevice(new BlockDevice(new SlowDisk()));
        using FrontEnd first = Greet(source);
        first.Do(SetConfig, Wire.Config(Writeback, 1, [writeback]));
        using var destination = new ServedDevice(new BlockDevice(new SlowDisk(), new() { Writeback = writeback == 0 }));
        using FrontEnd second = Greet(destination);
        Assert.Equal(1 - writeback, ReadWriteback(second));

        byte[] state = Fetch(first);
        Assert.Equal(0UL, Give(second, state));

        Assert.Equal(writeback, ReadWriteback(second));
        Assert.Equal(state, Fetch(second));
    }

    [Fact]
    public void A_device_without_state_has_an_empty_one()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);

        byte[] state = Fetch(frontEnd);

        Assert.Equal(12, state.Length);
        Assert.Equal(0UL, Give(frontEnd, state));
    }

    [Theory]
    [InlineData("", "the state has 0 bytes")]
    [InlineData("76447423", "the state has 4 bytes")]
    [InlineData("FFFFFFFF01000200020000000101", "magic = 0xffffffff")]
    [InlineData("7644742302000200020000000101", "version = 2")]
    [InlineData("7644742301000400020000000101", "Entropy")]
    [InlineData("76447423010002000300 00000101", "length = 3 of the state, 2 bytes follow")]
    [InlineData("764474230100020002000000010100", "length = 2 of the state, 3 bytes follow")]
    [InlineData("7644742301000200FFFFFFFF0101", "length = -1")]
    [InlineData("7644742301000200020000000901", "version 9")]
    [InlineData("7644742301000200020000000102", "writeback = 2")]
    [InlineData("764474230100020000000000", "a disk's state of 0 bytes")]
    public void A_state_that_cannot_be_is_told_and_changes_nothing(string hex, string reason)
    {
        using var served = new ServedDevice(new BlockDevice(new SlowDisk(), new() { Writeback = false }));
        using FrontEnd frontEnd = Greet(served);

        ulong answer = Give(frontEnd, Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)));

        Assert.Equal(1UL, answer);
        Assert.Contains(served.Log.Errors, line => line.Contains(reason, StringComparison.Ordinal));
        Assert.Equal(0, ReadWriteback(frontEnd));
        Assert.Equal(0UL, Give(frontEnd, Fetch(frontEnd))); // a good one is still taken
    }

    [Fact]
    public void A_device_that_fails_over_its_state_costs_the_transfer_and_no_more()
    {
        using var served = new ServedDevice(new FailingDevice());
        using var other = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        using FrontEnd good = Greet(other);

        Assert.Equal(1UL, Give(frontEnd, Fetch(good)));
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        using (writing)
            Assert.Equal(Refused, Begin(frontEnd, Save, writing));

        Assert.Contains(served.Log.Errors, line => line.Contains("cannot load", StringComparison.Ordinal));
        Assert.Contains(served.Log.Errors, line => line.Contains("cannot save", StringComparison.Ordinal));
        frontEnd.Barrier();
    }

    [Fact]
    public void A_state_that_does_not_end_is_cut_off()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (writing)
        {
            using (reading)
                Assert.Equal(Granted, Begin(frontEnd, Load, reading));
            byte[] piece = new byte[4096];
            Assert.True(Patience.Until(() => !TryWrite(writing, piece)), "it reads on and on"); // until nobody reads any more

            Assert.Equal(1UL, frontEnd.AskU64(CheckDeviceState));
        }

        Assert.Equal(0UL, Give(frontEnd, Fetch(frontEnd)));
    }

    [Fact]
    public void Of_two_transfers_at_once_the_second_is_refused_and_the_first_goes_on()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        byte[] state = Fetch(frontEnd);
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (writing)
        using (reading)
        {
            Assert.Equal(Granted, Begin(frontEnd, Load, reading));
            Assert.Equal(Refused, Begin(frontEnd, Load, reading));
            Assert.Equal(Refused, Begin(frontEnd, Save, writing));
            writing.Write(state);
        }

        Assert.Equal(0UL, frontEnd.AskU64(CheckDeviceState));
    }

    [Fact]
    public void One_that_is_asked_about_before_it_is_done_has_failed()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        using (writing)
        {
            Assert.Equal(Granted, Begin(frontEnd, Load, reading));
            writing.Write([1, 2, 3]);

            Assert.Equal(1UL, frontEnd.AskU64(CheckDeviceState));
        }

        Assert.Equal(1UL, frontEnd.AskU64(CheckDeviceState)); // nothing to ask about
        Assert.Equal(0UL, Give(frontEnd, Fetch(frontEnd)));
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(0xFFFFFFFF, 0)]
    [InlineData(0, 1)]
    [InlineData(1, 0xFFFFFFFF)]
    public void A_direction_or_a_phase_that_there_is_not_is_refused(uint direction, uint phase)
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        using (writing)
            Assert.Equal(Refused, Begin(frontEnd, direction, reading, phase));

        Assert.Equal(0UL, Give(frontEnd, Fetch(frontEnd)));
    }

    [Fact]
    public void What_is_no_pipe_is_refused_and_so_is_the_wrong_end_of_one()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        using FileDescriptor file = MemFd.Create("no pipe", 4096);
        using var counter = EventFd.Create();

        foreach (FileDescriptor wrong in new[] { file, counter.Descriptor })
            Assert.Equal(Refused, Answer(frontEnd, Load, 0, wrong));
        foreach (uint direction in new[] { Save, Load })
        {
            (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
            using (reading)
            using (writing)
                Assert.Equal(Granted, Begin(frontEnd, direction, direction == Save ? reading : writing));
            Assert.Equal(1UL, frontEnd.AskU64(CheckDeviceState));
        }

        Assert.Equal(0UL, Give(frontEnd, Fetch(frontEnd)));
    }

    [Fact]
    public void Nobody_reads_the_state_and_the_device_goes_on()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        reading.Dispose();
        using (writing)
            Assert.Equal(Granted, Begin(frontEnd, Save, writing));

        Assert.Equal(1UL, frontEnd.AskU64(CheckDeviceState));
        Assert.Equal(0UL, Give(frontEnd, Fetch(frontEnd)));
    }

    [Fact]
    public void A_device_whose_rings_are_started_is_not_suspended_and_keeps_its_state()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = Greet(served);
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        frontEnd.AddMemory(ram);
        frontEnd.StartRing(ring);
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        using (writing)
        {
            Assert.Equal(Refused, Begin(frontEnd, Save, writing));
            uint at = frontEnd.StopRing(ring);
            Assert.Equal(Granted, Begin(frontEnd, Load, reading));
            frontEnd.StartRing(ring, (ushort)at); // and while it is loaded, it must stay so
        }

        Assert.Equal(1UL, frontEnd.AskU64(CheckDeviceState));
        ring.AssertServes();
    }

    [Fact]
    public void A_session_that_ends_in_the_middle_leaves_nothing_behind()
    {
        using var served = new ServedDevice();
        served.AssertServesNext();
        using var leaks = new LeakCheck();
        foreach (uint direction in new[] { Save, Load })
        {
            (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
            using (FrontEnd frontEnd = Greet(served))
            using (reading)
            using (writing)
                Assert.Equal(Granted, Begin(frontEnd, direction, direction == Save ? writing : reading));
            served.NextReport();
        }

        leaks.AssertNothingIsLeft();
        served.AssertServesNext();
    }

    private sealed class FailingDevice() : DelegatingDevice(new RngDevice())
    {
        public override void SaveState(IBufferWriter<byte> state) => throw new InvalidOperationException("cannot save");

        public override void LoadState(ReadOnlySpan<byte> state) => throw new InvalidOperationException("cannot load");
    }

    private static FrontEnd Greet(ServedDevice served)
    {
        FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config | ProtocolFeatures.DeviceState);
        return frontEnd;
    }

    private static byte ReadWriteback(FrontEnd frontEnd) => frontEnd.Ask(GetConfig, Wire.Config(Writeback, 1, new byte[1]))[^1];

    private static ulong Answer(FrontEnd frontEnd, uint direction, uint phase, FileDescriptor file)
    {
        frontEnd.Send(SetDeviceStateFd, Wire.State(direction, phase), file);
        return BitConverter.ToUInt64(frontEnd.Reply(SetDeviceStateFd));
    }

    private static ulong Begin(FrontEnd frontEnd, uint direction, PipeEnd theirs, uint phase = 0) => Answer(frontEnd, direction, phase, theirs.Descriptor);

    private static byte[] Fetch(FrontEnd frontEnd)
    {
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (reading)
        {
            using (writing)
                Assert.Equal(Granted, Begin(frontEnd, Save, writing));
            var state = new List<byte>();
            byte[] piece = new byte[4096];
            for (int read = -1; read != 0;)
            {
                Assert.True(Readiness.WaitReadable(reading.Descriptor, Patience.Limit));
                read = reading.Read(piece);
                state.AddRange(piece.AsSpan(0, Math.Max(read, 0)));
            }

            Assert.Equal(0UL, frontEnd.AskU64(CheckDeviceState));
            return [.. state];
        }
    }

    private static ulong Give(FrontEnd frontEnd, byte[] state)
    {
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        using (writing)
        {
            using (reading)
                Assert.Equal(Granted, Begin(frontEnd, Load, reading));
            Assert.Equal(state.Length, writing.Write(state));
        }

        return frontEnd.AskU64(CheckDeviceState);
    }

    private static bool TryWrite(PipeEnd end, byte[] piece)
    {
        try
        {
            end.Write(piece);
            return true;
        }
        catch (LinuxException closed) when (closed.Errno == Errno.EPIPE)
        {
            return false;
        }
    }
}

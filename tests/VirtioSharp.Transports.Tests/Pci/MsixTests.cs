using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>Vectors: raised from outside, as an irqfd does, masked, pending, delivered (PCI 3.0 §6.8.2).</summary>
public sealed class MsixTests : IDisposable
{
    private const int Pending = 0x800;

    private readonly PciMachine _machine = new(new RngDevice(), new VirtioPciOptions { Vectors = 40 });

    public MsixTests() => _machine.UseMsix();

    private IRegisterWindow Table => _machine.Bar(1);

    [Fact]
    public void A_function_says_how_many_vectors_it_has_and_where()
    {
        int at = _machine.FindCapability(PciCapabilityId.MsiX);

        Assert.Equal(39u | MsixLayout.Enable, _machine.Read(at + MsixLayout.ControlOffset, 2));
        Assert.Equal(1u, _machine.Read(at + MsixLayout.TableOffset, 4));
        Assert.Equal(Pending | 1u, _machine.Read(at + MsixLayout.PendingOffset, 4));
    }

    [Fact]
    public void Without_vectors_there_is_no_capability()
    {
        using var machine = new PciMachine(new RngDevice(), new VirtioPciOptions { Vectors = 0 });

        Assert.Equal(0, machine.FindCapability(PciCapabilityId.MsiX));
        Assert.Null(machine.Function.Msix);
    }

    [Fact]
    [Proves("MSI-X", "in-process PCI, modern")]
    public void A_vector_that_is_raised_arrives_once()
    {
        Raise(33);

        Assert.True(_machine.Interrupts.TakeMessage(33));
        Assert.False(_machine.Interrupts.TakeMessage(33));
        Assert.False(_machine.Interrupts.TakeMessage(32));
    }

    [Fact]
    [Proves("MSI-X", "in-process PCI, modern")]
    public void A_masked_vector_is_pending_and_is_sent_once_when_it_is_unmasked()
    {
        Mask(33, true);
        Raise(33);
        Raise(33);

        Assert.False(_machine.Interrupts.TakeMessage(33));
        Assert.Equal((0u, 2u), (Table.Read(Pending, 4), Table.Read(Pending + 4, 4)));

        Mask(33, false);
        Assert.True(_machine.Interrupts.TakeMessage(33));
        Assert.Equal(0u, Table.Read(Pending + 4, 4));
        Mask(33, true);
        Mask(33, false);
        Assert.False(_machine.Interrupts.TakeMessage(33));
    }

    [Theory]
    [InlineData((ushort)(MsixLayout.Enable | MsixLayout.FunctionMask))]
    [InlineData((ushort)0)]
    [Proves("MSI-X", "in-process PCI, modern")]
    public void The_function_mask_and_disabling_hold_every_vector_back(ushort control)
    {
        _machine.SetMsix(control);
        Raise(0);
        Raise(39);
        Mask(39, true);
        Assert.False(Arrived(0) || Arrived(39));

        _machine.SetMsix(MsixLayout.Enable);

        Assert.True(Arrived(0));
        Assert.False(Arrived(39)); // masked by itself, too
        Mask(39, false);
        Assert.True(Arrived(39));
    }

    [Fact]
    [Proves("MSI-X", "in-process PCI, modern")]
    public void Without_bus_mastering_no_message_is_sent_and_none_is_lost()
    {
        _machine.Command = PciCommand.MemorySpace;
        Raise(3);
        Assert.False(Arrived(3));

        _machine.Command = PciCommand.MemorySpace | PciCommand.BusMaster;

        Assert.True(Arrived(3));
    }

    [Fact]
    public void Vectors_start_masked()
    {
        using var machine = new PciMachine(new RngDevice());
        machine.SetMsix(MsixLayout.Enable);

        machine.Function.Msix!.Raise(0);

        Assert.Equal(1u, machine.Bar(1).Read(MsixLayout.EntryControl, 4));
        Assert.True(machine.Function.Msix!.IsPending(0));
    }

    [Fact]
    public void Vectors_that_do_not_exist_are_harmless()
    {
        Raise(40);
        Raise(-1);
        Raise(int.MaxValue);

        Assert.False(_machine.Interrupts.Wait(TimeSpan.Zero));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 2)]
    [InlineData(2, 4)]
    [InlineData(13, 1)]
    [InlineData(16 * 40, 4)]
    [InlineData(Pending, 4)]
    [InlineData(Pending + 8, 4)]
    [InlineData(0xFFC, 4)]
    [Proves("Hostile driver", "in-process PCI, modern")]
    public void Odd_writes_to_the_table_change_nothing(int offset, int width)
    {
        uint[] before = All();

        Table.Write((ulong)offset, width, 0xFFFF_FFFF);

        Assert.Equal(before, All());
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(2, 4)]
    [InlineData(12, 2)]
    [InlineData(16 * 40, 4)]
    [InlineData(Pending, 1)]
    [InlineData(Pending + 8, 4)]
    public void Odd_reads_of_the_table_are_zero(int offset, int width)
    {
        Mask(0, true);
        Raise(0);

        Assert.Equal(0u, Table.Read((ulong)offset, width));
    }

    [Fact]
    [Proves("Hostile driver", "in-process PCI, modern")]
    public void A_message_that_leads_nowhere_is_lost_and_one_that_leads_into_memory_is_written_there()
    {
        var word = _machine.Host.Dma.Allocate(64);
        foreach (ulong address in (ulong[])[0, ulong.MaxValue & ~3ul, 0xFEE0_0000 + 0x1000 * 50, 0xFEF0_0000, _machine.Host.Dma.Region.Start.Value - 2, word.Address.Value])
        {
            Table.Write(0, 4, (uint)address);
            Table.Write(4, 4, (uint)(address >> 32));
            Table.Write(8, 4, 0x0403_0201);
            Raise(0);
        }

        Assert.Equal([1, 2, 3, 4, 0], word.Span[..5].ToArray());
        Assert.False(_machine.Interrupts.Wait(TimeSpan.Zero));
    }

    [Fact]
    public async Task Raising_and_masking_at_once_loses_nothing()
    {
        const int Rounds = 20_000;
        _machine.Function.IsInterruptedFromOutside = true;
        int raised = 0, taken = 0;
        Task raiser = Task.Run(
            () =>
            {
                for (int i = 0; i < Rounds; i++)
                {
                    while (Volatile.Read(ref taken) < i)
                        Thread.SpinWait(1);
                    Volatile.Write(ref raised, i + 1);
                    Raise(5); // must arrive, whatever the mask does meanwhile
                }
            },
            TestContext.Current.CancellationToken);

        long patience = Environment.TickCount64 + 60_000;
        while (taken < Rounds)
        {
            Assert.True(Environment.TickCount64 < patience, $"vector lost after {taken} rounds");
            Mask(5, true);
            Mask(5, false);
            if (_machine.Interrupts.TakeMessage(5))
                Volatile.Write(ref taken, taken + 1);
        }

        await raiser;
        Assert.Equal(Rounds, raised);
        Assert.False(_machine.Interrupts.TakeMessage(5));
    }

    [Fact]
    public async Task Waiting_for_another_thread_ends_when_it_raises_a_vector()
    {
        _machine.Function.IsInterruptedFromOutside = true;
        Assert.False(_machine.Interrupts.Wait(TimeSpan.FromMilliseconds(20)));
        Task raiser = Task.Run(
            async () =>
            {
                await Task.Delay(50);
                Raise(7);
            },
            TestContext.Current.CancellationToken);

        Assert.True(_machine.Interrupts.Wait(TimeSpan.FromSeconds(30)));

        Assert.True(Arrived(7));
        await raiser;
    }

    public void Dispose() => _machine.Dispose();

    private void Raise(int vector) => _machine.Function.Msix!.Raise(vector);

    private bool Arrived(int number) => _machine.Interrupts.TakeMessage(number);

    private void Mask(int vector, bool masked) => Table.Write((ulong)(16 * vector + MsixLayout.EntryControl), 4, masked ? 1u : 0);

    private uint[] All() => [.. Enumerable.Range(0, 0x400).Select(word => Table.Read((ulong)(4 * word), 4))];
}

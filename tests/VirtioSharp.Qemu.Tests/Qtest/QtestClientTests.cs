using VirtioSharp.Core.Errors;
using VirtioSharp.Qemu.Qtest;

namespace VirtioSharp.Qemu.Tests.Qtest;

public sealed class QtestClientTests : IDisposable
{
    private readonly ScriptedQemu _qemu = new();

    private QtestClient Client => _qemu.Client;

    public void Dispose() => _qemu.Dispose();

    [Theory]
    [InlineData(1, "readb 0xfe000014\n")]
    [InlineData(2, "readw 0xfe000014\n")]
    [InlineData(4, "readl 0xfe000014\n")]
    [InlineData(8, "readq 0xfe000014\n")]
    public void A_read_asks_by_its_width_and_gives_the_number(int width, string command)
    {
        _qemu.Says("OK 0x000000000000000f\n");

        ulong value = Client.Read(0xFE00_0014, width);

        Assert.Equal((0xFUL, command), (value, _qemu.Hears()));
    }

    [Fact]
    public void A_port_is_read_and_written()
    {
        _qemu.Says("OK\nOK 0x1af4\n");

        Client.Out(0xCF8, 4, 0x8000_0000);
        uint value = Client.In(0xCFC, 2);

        Assert.Equal(0x1AF4u, value);
        Assert.Equal("outl 0xcf8 0x80000000\ninw 0xcfc\n", _qemu.Hears());
    }

    [Fact]
    public void The_bytes_beyond_a_writes_width_do_not_reach_QEMU()
    {
        Client.Write(0x1000, 1, 0x1234);
        Client.Write(0x1000, 8, ulong.MaxValue);

        Assert.Equal("writeb 0x1000 0x34\nwriteq 0x1000 0xffffffffffffffff\n", _qemu.Hears());
    }

    [Fact]
    public void A_write_does_not_wait_and_a_read_waits_for_all_before_it()
    {
        for (int i = 0; i < 10; i++)
            Client.Write(0x1000, 4, (uint)i);
        for (int i = 0; i < 10; i++)
            _qemu.Says("OK\n");
        _qemu.Says("OK 0x7\n");

        Assert.Equal(7UL, Client.Read(0x1000, 4));
    }

    [Fact]
    public async Task An_answer_may_come_in_pieces()
    {
        Task<ulong> read = Task.Run(() => Client.Read(0, 4), TestContext.Current.CancellationToken);
        foreach (char piece in "IRQ raise 5\nOK 0x0000000000000042\n")
        {
            _qemu.Says(piece.ToString());
            await Task.Yield();
        }

        Assert.Equal(0x42UL, await read);
    }

    [Fact]
    public void Interrupts_may_come_before_an_answer()
    {
        _qemu.Says("IRQ raise 20\nIRQ raise 21\nIRQ lower 20\nOK 0x1\nIRQ raise 22\n");

        Assert.Equal(1UL, Client.Read(0, 1));

        Assert.Equal((false, true, true), (Client.IsRaised(20), Client.IsRaised(21), Client.IsRaised(22)));
    }

    [Fact]
    public void Interrupts_may_come_between_the_answers_to_writes()
    {
        Client.Write(0, 4, 1);
        Client.Write(0, 4, 2);
        _qemu.Says("OK\nIRQ raise 11\nOK\n");

        Client.Flush();

        Assert.True(Client.IsRaised(11));
    }

    [Fact]
    public void The_timers_interrupt_is_nobodys()
    {
        _qemu.Says("IRQ raise 0\n");

        Assert.False(Client.IsRaised(0));
        Assert.Equal(0, Client.InterruptChanges);
    }

    [Fact]
    public void A_refused_command_fails_with_the_words_of_QEMU_and_the_next_one_works()
    {
        _qemu.Says("FAIL Unknown device\nOK little\n");

        QtestException error = Assert.Throws<QtestException>(() => Client.InterceptInterrupts("/nobody"));

        Assert.Equal("QEMU refused 'irq_intercept_in /nobody': FAIL Unknown device", error.Message);
        Assert.Equal("little", Client.Execute("endianness"));
    }

    [Fact]
    public void A_refused_write_is_told_by_the_next_read()
    {
        Client.Write(0, 4, 1);
        _qemu.Says("FAIL Unknown command 'writel'\n");

        Assert.Throws<QtestException>(() => Client.Read(0, 4));
    }

    [Theory]
    [InlineData("hello\n")]
    [InlineData("OKAY\n")]
    [InlineData("OK\n")]
    [InlineData("OK 12\n")]
    [InlineData("OK 0xyz\n")]
    [InlineData("OK 0x11111111111111111\n")]
    [InlineData("IRQ raise twenty\n")]
    [InlineData("IRQ raise 100000\n")]
    [InlineData("IRQ raise -1\n")]
    [InlineData("\n")]
    [InlineData("\0\u0001\u0002\n")]
    public void Garbage_breaks_the_connection_and_is_quoted(string garbage)
    {
        _qemu.Says(garbage);

        TransportException error = Assert.Throws<TransportException>(() => Client.Read(0x10, 4));

        Assert.Contains("readl 0x10", error.Message, StringComparison.Ordinal);
        Assert.Contains("the words of QEMU", error.Message, StringComparison.Ordinal);
        Assert.Throws<TransportException>(() => Client.Read(0x10, 4));
    }

    [Fact]
    public void An_answer_without_a_question_breaks_the_connection()
    {
        _qemu.Says("OK\n");

        TransportException error = Assert.Throws<TransportException>(() => Client.IsRaised(1));

        Assert.Contains("without having been asked", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_endless_line_breaks_the_connection()
    {
        Task flood = Task.Run(() => _qemu.Says(new string('x', 20_000)), TestContext.Current.CancellationToken);

        Assert.Throws<TransportException>(() => Client.Read(0, 4));

        await flood;
    }

    [Theory]
    [InlineData("")]
    [InlineData("OK 0x1")]
    public void A_QEMU_that_leaves_is_an_error_with_its_last_words(string before)
    {
        if (before.Length > 0)
            _qemu.Says(before);
        _qemu.Leaves();

        TransportException error = Assert.Throws<TransportException>(() => Client.Read(0, 4));

        Assert.Contains("QEMU closed its qtest connection", error.Message, StringComparison.Ordinal);
        Assert.Contains("the words of QEMU", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_QEMU_that_does_not_answer_is_given_up_on()
    {
        using ScriptedQemu silent = new(TimeSpan.FromMilliseconds(50));

        TransportException error = Assert.Throws<TransportException>(() => silent.Client.Read(0x20, 2));

        Assert.Contains("has not answered 'readw 0x20'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_writes_than_the_socket_holds_answers_for_do_not_block_both_ends()
    {
        const int writes = 20_000;
        Task<int> qemu = Task.Run(() =>
        {
            int answered = 0;
            while (answered < writes)
            {
                int commands = _qemu.Hears().Count('\n');
                _qemu.Says(string.Concat(Enumerable.Repeat("OK\n", commands)));
                answered += commands;
            }

            return answered;
        }, TestContext.Current.CancellationToken);

        for (int i = 0; i < writes; i++)
            Client.Write(0, 4, 0);
        Client.Flush();

        Assert.Equal(writes, await qemu);
    }

    [Fact]
    public void After_it_was_closed_a_client_says_so()
    {
        Client.Dispose();

        Assert.Contains("closed on this side", Assert.Throws<TransportException>(() => Client.Read(0, 4)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_access_allocates_nothing()
    {
        _qemu.Says("OK\nOK 0x1\n");
        Client.Write(0, 4, 1);
        Client.Read(0, 4);
        _qemu.Says("OK\nOK 0x1\n");
        long before = GC.GetAllocatedBytesForCurrentThread();

        Client.Write(0, 4, 1);
        Client.Read(0, 4);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}

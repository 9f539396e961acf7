using VirtioSharp.Check.Tests.Support;

namespace VirtioSharp.Check.Tests;

/// <summary>The broken daemons live in this process, and some of them are found by its open descriptors: nothing runs beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>A check that cannot fail is worthless: a daemon broken in one way fails the rows that are about it.</summary>
[Collection(Alone.Name)]
public sealed class ControlTests
{
    /// <summary>Long for what must come, as other programs run beside this; short where a fault is silence.</summary>
    private const double Patient = 20, Impatient = 0.7;

    [Fact]
    public void A_daemon_of_somebody_else_that_does_everything_right_passes()
    {
        using var daemon = new MiniDaemon();

        List<CheckResult> results = Checks.Run(daemon.SocketPath, Patient);

        Assert.Equal(CheckList.All.Count(), results.Count);
        Assert.Empty(results.With(Verdict.Fail));
        Assert.True(results.With(Verdict.Pass).Length > 100);
    }

    [Theory]
    [InlineData(Fault.ShortBaseReply, "reply-get-vring-base", "the reply to GET_VRING_BASE has 4 bytes, 8 are due", "reply-get-features")]
    [InlineData(Fault.NoReplyBit, "reply-get-features", "the reply to GET_FEATURES has flags 0x1", "framing-header-then-payload")]
    [InlineData(Fault.NoReplyBit, "ack-set-owner", "the acknowledgement has flags 0x1", "ring-split")]
    [InlineData(Fault.IgnoresBase, "ring-index-wraps", "", "ring-split")]
    [InlineData(Fault.IgnoresBase, "ring-base-before-start", "the ring stands at 0x4d2, GET_VRING_BASE says 0x0", "ring-interrupt")]
    [InlineData(Fault.IgnoresBase, "session-goes-on", "", "session-after-session")]
    [InlineData(Fault.AcknowledgesAll, "ring-index-in-set-vring-num", "SET_VRING_NUM was acknowledged as done", "ack-set-vring-num")]
    [InlineData(Fault.AcknowledgesAll, "fds-table-too-few", "SET_MEM_TABLE was acknowledged as done", "memory-several-regions")]
    [InlineData(Fault.AcknowledgesAll, "framing-unknown-request-acknowledged", "request 999 was acknowledged as done", "framing-many-at-once")]
    [InlineData(Fault.NoAcknowledgements, "ack-set-mem-table", "no answer to SET_MEM_TABLE", "ack-own-reply", Impatient)]
    [InlineData(Fault.KeepsDescriptors, "fds-not-leaked", "", "fds-of-sessions-not-leaked")]
    [InlineData(Fault.ServesStoppedRings, "ring-stopped-left-alone", "a stopped ring was served", "ring-split")]
    [InlineData(Fault.KickDisables, "order-kick-keeps-enabled", "a request is not answered", "order-kick-before-enable", Impatient)]
    [InlineData(Fault.WritesNothing, "ring-split", "nothing was written to it", "reply-get-features")]
    [InlineData(Fault.WritesTooMuch, "ring-split", "the device wrote past the end of a buffer of 64 bytes", "reply-get-features")]
    [InlineData(Fault.NoInterrupts, "ring-interrupt", "the call descriptor is not signalled", "ring-split", Impatient)]
    [InlineData(Fault.OneMessagePerRead, "framing-many-at-once", "no answer to", "reply-get-features", Impatient)]
    [InlineData(Fault.OneRegion, "memory-several-regions", "", "memory-mmap-offset")]
    public void A_daemon_with_one_fault_fails_its_row_and_passes_another(Fault fault, string fails, string seen, string passes, double seconds = Patient)
    {
        using var daemon = new MiniDaemon(fault);

        // The one that must pass comes first: the fault may be the end of the daemon.
        List<CheckResult> results = Checks.Run(daemon.SocketPath, seconds, passes, fails);

        // With some faults no session is served at all, and every row says so.
        if (fault is not (Fault.WritesNothing or Fault.WritesTooMuch or Fault.NoAcknowledgements or Fault.OneMessagePerRead))
            Assert.Equal((Verdict.Pass, passes, ""), (results[0].Verdict, results[0].Case.Name, string.Concat(results.Take(1).With(Verdict.Fail))));
        CheckResult row = Checks.Run(daemon.SocketPath, seconds, fails)[0];
        Assert.Equal(Verdict.Fail, row.Verdict);
        Assert.Contains(seen, row.Seen, StringComparison.Ordinal);
    }

    [Fact]
    public void A_daemon_that_does_not_listen_again_fails_the_first_case_and_the_rest_is_skipped()
    {
        using var daemon = new MiniDaemon(Fault.ListensOnce);

        // The run's own first connection is all it serves.
        List<CheckResult> results = Checks.Run(daemon.SocketPath, Patient, "reply-get-features", "session-after-session", "ring-split", "chain-loop");

        Assert.Equal([Verdict.Fail, Verdict.Skip, Verdict.Skip, Verdict.Skip], results.Select(result => result.Verdict));
        Assert.Contains("a connection was refused", results[0].Seen, StringComparison.Ordinal);
        Assert.Equal("the daemon has not served since reply-get-features", results[3].Seen);
    }

    [Fact]
    public void A_daemon_that_never_answers_does_not_hang_the_run()
    {
        using var daemon = new MiniDaemon(Fault.NeverAnswers);

        List<CheckResult> results = Checks.Run(daemon.SocketPath, Impatient);

        Assert.Equal(CheckList.All.Count(), results.Count);
        Assert.StartsWith("no answer to GET_FEATURES within 0.7 s", results[0].Seen, StringComparison.Ordinal);
        Assert.Single(results.With(Verdict.Fail));
        Assert.Empty(results.With(Verdict.Pass));
    }

    [Fact]
    public void A_daemon_that_falls_silent_after_a_bad_chain_fails_that_case()
    {
        using var daemon = new MiniDaemon(Fault.WedgesAfterBadChain);

        List<CheckResult> results = Checks.Run(daemon.SocketPath, Impatient, "ring-split", "chain-head-out-of-range", "ring-split");

        Assert.Equal([Verdict.Pass, Verdict.Fail, Verdict.Skip], results.Select(result => result.Verdict));
        Assert.Contains("a new session is not served", results[1].Seen, StringComparison.Ordinal);
    }

    [Fact]
    public void A_daemon_that_dies_is_told_at_the_case_that_killed_it()
    {
        using var daemon = new MiniDaemon(Fault.DiesOfUnknown);

        List<CheckResult> results = Checks.Run(daemon.SocketPath, Patient, "ring-split", "framing-unknown-request-acknowledged", "ring-split", "chain-loop");

        Assert.Equal([Verdict.Pass, Verdict.Fail, Verdict.Skip, Verdict.Skip], results.Select(result => result.Verdict));
        Assert.Contains("afterwards the daemon is gone", results[1].Seen, StringComparison.Ordinal);
    }
}

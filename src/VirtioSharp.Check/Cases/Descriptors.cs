using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>File descriptors: missing, too many, of the wrong kind, where none belong.</summary>
internal static class Descriptors
{
    private const string Leak = "DPDK CVE-2022-0669, descriptors that pile up";

    public static CheckCase[] All { get; } =
    [
        new("fds-table-without", From.VhostUser("SET_MEM_TABLE"), "The size and ordering of the fds matches the regions; a table without any is not accepted.", bench =>
            Table(bench, 0)),
        new("fds-table-too-few", From.VhostUser("SET_MEM_TABLE"), "The size and ordering of the fds matches the regions; a table with one too few is not accepted.", bench =>
            Table(bench, 1)),
        new("fds-table-too-many", From.VhostUser("SET_MEM_TABLE"), "A table with more fds than regions does no harm.", bench =>
            Harmless(bench.Negotiate(), front => front.Attempt(Request.SetMemTable, Payload.Table(1, bench.Ram().Description), bench.Ram().File, bench.Ram().File))),
        new("fds-table-of-eventfds", From.VhostUser("SET_MEM_TABLE"), "A descriptor that cannot be mapped is not accepted as memory.", bench =>
            Refused(bench.Negotiate(), Request.SetMemTable, Payload.Table(1, bench.Ram().Description), EventFd(bench))),
        new("fds-kick-missing", From.VhostUser("SET_VRING_KICK: bit 8 is set when there is no file descriptor"), "Neither a descriptor nor bit 8: the message does no harm.", bench =>
            Harmless(bench.Negotiate(), front => front.Attempt(Request.SetVringKick, Payload.U64(0)))),
        new("fds-kick-both", From.VhostUser("SET_VRING_KICK: bit 8 is set when there is no file descriptor"), "Bit 8 and a descriptor: the message does no harm.", bench =>
            Harmless(bench.Negotiate(), front => front.Attempt(Request.SetVringKick, Payload.U64(Payload.NoFd), EventFd(bench)))),
        new("fds-call-none", From.VhostUser("SET_VRING_CALL"), "Bit 8 without a descriptor signals that polling will be used instead of waiting for the call.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            session.Front.Do(Request.SetVringCall, Payload.U64(Payload.NoFd));
            session.Front.Barrier();
            session.Ring.Call.TryDrain(out _);
            session.Serve(5);
            return session.Ring.Call.TryDrain(out _) ? throw new FailedException("the descriptor taken away was signalled") : "served without a call descriptor";
        }, Needs.Ring),
        new("fds-err-none", From.VhostUser("SET_VRING_ERR"), "Bit 8 without a descriptor is accepted.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            front.Do(Request.SetVringErr, Payload.U64(Payload.NoFd));
            front.Barrier();
            return "accepted";
        }),
        new("fds-kick-of-regular-file", From.VhostUser("SET_VRING_KICK: an event file descriptor"), "A kick descriptor that is no eventfd or pipe does no harm.", bench =>
            Harmless(bench.Negotiate(), front => front.Attempt(Request.SetVringKick, Payload.U64(0), bench.Ram().File))),
        new("fds-unexpected", From.History(Leak), "A descriptor with a message that has none is refused or closed.", bench =>
            Harmless(bench.Negotiate(new Plan { Protocol = Protocol.None }), front => front.Attempt(Request.SetOwner, [], EventFd(bench)))),
        new("fds-253", From.History("MSG_CTRUNC, descriptors lost on the way"), "As many descriptors as the kernel lets through cost the connection at most.", bench =>
        {
            FileDescriptor[] many = [.. Enumerable.Range(0, 253).Select(_ => EventFd(bench))];
            return Harmless(bench.Negotiate(new Plan { Protocol = Protocol.None }), front => front.Attempt(Request.SetVringErr, Payload.U64(0), many));
        }),
        new("fds-with-payload", From.VhostUser("Communication: fds come with the first byte of the header"), "Descriptors that come with the payload cost the connection at most.", bench =>
        {
            FrontEnd front = bench.Negotiate(new Plan { Protocol = Protocol.None });
            front.TrySendRaw(Payload.Header(Request.SetVringCall, FrontEnd.Version, 8));
            Thread.Sleep(20);
            front.TrySendRaw(Payload.U64(0), EventFd(bench));
            return Harmless(front, rest => rest.Attempt(Request.SetOwner));
        }),
        new("fds-not-leaked", From.History(Leak), "Descriptors that came where none belong are closed, at the latest with the connection.", bench =>
            CountAround(bench, () =>
            {
                for (int i = 0; i < 20; i++)
                {
                    using FrontEnd front = bench.Connect();
                    using var some = Linux.EventFd.Create();
                    front.TrySend(Request.GetFeatures, FrontEnd.Version, [], [.. Enumerable.Repeat(some.Descriptor, 10)]);
                    front.Receive();
                }
            }, "200 descriptors")),
        new("fds-of-sessions-not-leaked", From.History(Leak), "A session leaves no descriptor behind.", bench =>
            CountAround(bench, () =>
            {
                for (int i = 0; i < 10; i++)
                {
                    bench.ServeNewSession();
                    bench.Clear();
                }
            }, "10 sessions")),
        new("fds-replaced-not-leaked", From.History(Leak), "A call, kick or error descriptor that is replaced is closed.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            FileDescriptor call = EventFd(bench);
            front.Do(Request.SetVringCall, Payload.U64(0), call);
            front.Barrier();
            int before = OpenDescriptors(bench);
            for (int i = 0; i < 100; i++)
                front.Do(Request.SetVringCall, Payload.U64(0), call);
            front.Barrier();
            int after = OpenDescriptors(bench);
            return after - before < 10 ? $"{before} open before 100 replacements, {after} after" : throw new FailedException($"{before} open before 100 replacements, {after} after");
        }),
        new("fds-region-removed-with-one", From.VhostUser("REM_MEM_REG"), "If a file descriptor is passed, the back-end MUST close it without using it otherwise.", bench =>
        {
            bench.Need(Protocol.ConfigureMemSlots | Protocol.ReplyAck);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.ConfigureMemSlots | Protocol.ReplyAck });
            GuestRegion ram = bench.Ram();
            int before = OpenDescriptors(bench);
            for (int i = 0; i < 10; i++)
            {
                front.Do(Request.AddMemReg, Payload.OneRegion(ram.Description), ram.File);
                Outcome outcome = front.Attempt(Request.RemMemReg, Payload.OneRegion(ram.Description), ram.File);
                if (outcome != Outcome.Accepted)
                    return $"{outcome.Text()} (accepting one is a MAY)";
            }

            int after = OpenDescriptors(bench);
            return after - before < 5 ? "accepted and closed" : throw new FailedException($"{before} descriptors open before ten regions came and went, {after} after");
        }),
        new("fds-region-without", From.VhostUser("ADD_MEM_REG"), "Exactly one file descriptor is passed: a region without one is not accepted.", bench =>
        {
            bench.Need(Protocol.ConfigureMemSlots);
            return Refused(Slots(bench), Request.AddMemReg, Payload.OneRegion(bench.Ram().Description));
        }),
        new("fds-region-with-two", From.VhostUser("ADD_MEM_REG"), "Exactly one file descriptor is passed: a region with two does no harm.", bench =>
        {
            bench.Need(Protocol.ConfigureMemSlots);
            GuestRegion ram = bench.Ram();
            return Harmless(Slots(bench), front => front.Attempt(Request.AddMemReg, Payload.OneRegion(ram.Description), ram.File, ram.File));
        }),
        new("fds-channel-missing", From.VhostUser("SET_BACKEND_REQ_FD"), "The socket is passed in the ancillary data: without it the message is not answered with success.", bench =>
        {
            bench.Need(Protocol.BackEndReq);
            return Refused(bench.Negotiate(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.BackEndReq }), Request.SetBackEndReqFd, []);
        }),
    ];

    /// <summary>An eventfd that is closed with the case.</summary>
    private static FileDescriptor EventFd(Bench bench) => bench.Track(Linux.EventFd.Create()).Descriptor;

    private static FrontEnd Slots(Bench bench) => bench.Negotiate(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.ConfigureMemSlots });

    private static string Table(Bench bench, int fds)
    {
        GuestRegion first = bench.Ram(), second = bench.Ram(guest: 1UL << 32, user: 0x7f13_0000_0000);
        FileDescriptor[] files = [first.File, second.File];
        return Refused(bench.Negotiate(), Request.SetMemTable, Payload.Table(2, first.Description, second.Description), files[..fds]);
    }

    internal static string Refused(FrontEnd front, uint request, byte[] payload, params FileDescriptor[] fds)
    {
        Outcome outcome = front.Attempt(request, payload, fds);
        return outcome is Outcome.Accepted or Outcome.Dropped ? throw new FailedException($"{Request.Name(request)} was {outcome.Text()}") : outcome.Text();
    }

    private static string Harmless(FrontEnd front, Func<FrontEnd, Outcome> send) => send(front).Text();

    private static string CountAround(Bench bench, Action work, string what)
    {
        bench.ServeNewSession(); // what a daemon keeps from its first session on is no leak
        bench.Clear();
        FrontEnd idle = bench.Connect();
        idle.Barrier();
        int before = OpenDescriptors(bench);
        idle.Dispose();
        work();
        FrontEnd again = bench.Connect();
        again.Barrier();
        int after = OpenDescriptors(bench);
        string seen = $"{before} open before {what}, {after} after";
        return after - before < 5 ? seen : throw new FailedException(seen);
    }

    private static int OpenDescriptors(Bench bench)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{bench.ProcessId}/fd").Count();
        }
        catch (Exception hidden) when (hidden is IOException or UnauthorizedAccessException)
        {
            throw new SkippedException("the daemon's open descriptors cannot be counted: /proc does not show them to us");
        }
    }
}

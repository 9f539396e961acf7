using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>A device's state over a pipe, good and bad.</summary>
internal static class DeviceStates
{
    private const uint Save = 0, Load = 1;
    private const ulong Error = 0xFF, NoFd = 0x100;
    private const int Most = 64 << 20;

    public static CheckCase[] All { get; } =
    [
        new("state-saved", From.VhostUser("Migrating back-end state"), "The state comes to its end, and CHECK_DEVICE_STATE says that it is whole.", bench =>
            $"{Fetch(bench, Ready(bench)).Length} bytes"),
        new("state-loaded", From.VhostUser("Migrating back-end state"), "What was saved can be loaded, and the device serves.", bench =>
        {
            byte[] state = Fetch(bench, Ready(bench));
            FrontEnd front = Ready(bench);
            (PipeEnd ours, ulong answer) = Begin(bench, front, Load);
            MustBeGood(answer);
            Give(bench, ours, state);
            MustBeGood(front.AskU64(Request.CheckDeviceState), Request.CheckDeviceState);
            bench.ServeNewSession();
            return $"{state.Length} bytes";
        }),
        Refused("state-direction", "A direction that there is not", 2, 0),
        Refused("state-phase", "A phase that there is not", Save, 1),
        new("state-garbage", From.History("a saved state is input like any other"), "Garbage for a state is told by CHECK_DEVICE_STATE, or ends the connection.", bench =>
        {
            FrontEnd front = Ready(bench);
            (PipeEnd ours, ulong answer) = Begin(bench, front, Load);
            MustBeGood(answer);
            Give(bench, ours, [.. Enumerable.Repeat((byte)0xFF, 37)]);
            return Verdict(bench, front);
        }),
        new("state-too-much", From.History("a saved state is input like any other"), "A state without end costs the daemon no end of memory: it stops reading, or says so.", bench =>
        {
            FrontEnd front = Ready(bench);
            (PipeEnd ours, ulong answer) = Begin(bench, front, Load);
            MustBeGood(answer);
            long sent = 0;
            byte[] piece = new byte[1 << 16];
            try
            {
                while (sent < Most && Readiness.WaitWritable(ours.Descriptor, bench.Patience))
                    sent += Math.Max(ours.Write(piece), 0);
            }
            catch (LinuxException closed) when (closed.Errno == Errno.EPIPE)
            {
                ours.Dispose();
                return $"it stopped after {sent} bytes; {Verdict(bench, front)}";
            }

            ours.Dispose();
            return $"{sent} bytes were read; {Verdict(bench, front)}";
        }),
        new("state-no-pipe", From.History("a descriptor is the front-end's claim"), "An eventfd in place of a pipe is refused, told by CHECK_DEVICE_STATE, or ends the connection.", bench =>
        {
            FrontEnd front = Ready(bench);
            using var counter = EventFd.Create();
            return Answered(bench, front, Load, 0, counter.Descriptor) is not { } answer ? "connection closed"
                : (answer & Error) != 0 ? "refused" : Verdict(bench, front);
        }),
        new("state-twice", From.VhostUser("SET_DEVICE_STATE_FD"), "A second transfer while the first is under way is answered, or ends the connection.", bench =>
        {
            FrontEnd front = Ready(bench);
            (PipeEnd first, ulong answer) = Begin(bench, front, Load);
            MustBeGood(answer);
            using (first)
            {
                (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
                using (reading)
                using (writing)
                    return Answered(bench, front, Load, 0, reading.Descriptor) is not { } second ? "connection closed" : (second & Error) != 0 ? "refused" : "granted";
            }
        }),
        new("state-check-alone", From.VhostUser("CHECK_DEVICE_STATE"), "CHECK_DEVICE_STATE without a transfer is answered, or ends the connection.", bench => Verdict(bench, Ready(bench))),
        new("state-left-open", From.History("a pipe may never end"), "A transfer that its front-end leaves in the middle keeps nobody waiting.", bench =>
        {
            FrontEnd front = Ready(bench);
            (PipeEnd ours, ulong answer) = Begin(bench, front, Load);
            MustBeGood(answer);
            ours.Write([1, 2, 3]);
            front.Barrier();
            bench.ServeNewSession(); // while the pipe is still open
            ours.Dispose();
            return "the next session is served";
        }),
    ];

    private static FrontEnd Ready(Bench bench)
    {
        bench.Need(Protocol.DeviceState);
        return bench.Negotiate(Plan.Usual with { Protocol = Protocol.DeviceState | Protocol.ReplyAck });
    }

    /// <returns>Null when the connection was closed.</returns>
    private static ulong? Answered(Bench bench, FrontEnd front, uint direction, uint phase, FileDescriptor channel)
    {
        if (!front.TrySend(Request.SetDeviceStateFd, FrontEnd.Version, Payload.State(direction, phase), channel))
            return null;
        Answer answer = front.Receive();
        answer.Fd?.Dispose();
        return answer.Kind switch
        {
            AnswerKind.Closed => null,
            AnswerKind.Silence => throw new FailedException($"no answer to SET_DEVICE_STATE_FD within {bench.Patience.TotalSeconds} s"),
            _ => BitConverter.ToUInt64(answer.Payload),
        };
    }

    private static (PipeEnd Ours, ulong Answer) Begin(Bench bench, FrontEnd front, uint direction)
    {
        (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
        bench.Track(reading);
        bench.Track(writing);
        (PipeEnd ours, PipeEnd theirs) = direction == Save ? (reading, writing) : (writing, reading);
        front.Send(Request.SetDeviceStateFd, Payload.State(direction, 0), theirs.Descriptor);
        theirs.Dispose();
        Answer answer = front.Reply(Request.SetDeviceStateFd, 8);
        ulong value = BitConverter.ToUInt64(answer.Payload);
        if ((value & NoFd) == 0 != answer.Fd is not null)
            throw new FailedException($"the answer 0x{value:x} says that {((value & NoFd) == 0 ? "a descriptor comes along, and none does" : "none comes along, and one does")}");
        return (answer.Fd is null ? ours : bench.Track(PipeEnd.Adopt(answer.Fd)), value);
    }

    private static byte[] Fetch(Bench bench, FrontEnd front)
    {
        (PipeEnd ours, ulong answer) = Begin(bench, front, Save);
        MustBeGood(answer);
        var state = new List<byte>();
        byte[] piece = new byte[1 << 16];
        while (true)
        {
            if (!Readiness.WaitReadable(ours.Descriptor, bench.Patience))
                throw new FailedException($"the state does not end: {state.Count} bytes, and nothing for {bench.Patience.TotalSeconds} s");
            int read = ours.Read(piece);
            if (read == 0)
                break;
            state.AddRange(piece.AsSpan(0, Math.Max(read, 0)));
            if (state.Count > Most)
                throw new FailedException($"the state does not end: {state.Count} bytes");
        }

        MustBeGood(front.AskU64(Request.CheckDeviceState), Request.CheckDeviceState);
        return [.. state];
    }

    private static void Give(Bench bench, PipeEnd end, byte[] state)
    {
        for (int sent = 0; sent < state.Length && Readiness.WaitWritable(end.Descriptor, bench.Patience);)
            sent += Math.Max(end.Write(state.AsSpan(sent)), 0);
        end.Dispose();
    }

    /// <summary>What CHECK_DEVICE_STATE says: it has to say something, or to hang up.</summary>
    private static string Verdict(Bench bench, FrontEnd front)
    {
        Answer answer = front.TrySend(Request.CheckDeviceState, FrontEnd.Version, []) ? front.Receive() : new Answer(AnswerKind.Closed);
        return answer.Kind switch
        {
            AnswerKind.Closed => "connection closed",
            AnswerKind.Silence => throw new FailedException($"no answer to CHECK_DEVICE_STATE within {bench.Patience.TotalSeconds} s"),
            _ => BitConverter.ToUInt64(answer.Payload) == 0 ? "CHECK_DEVICE_STATE is answered with 0" : "CHECK_DEVICE_STATE tells an error",
        };
    }

    private static void MustBeGood(ulong answer, uint request = Request.SetDeviceStateFd)
    {
        if ((answer & (request == Request.SetDeviceStateFd ? Error : ulong.MaxValue)) != 0)
            throw new FailedException($"{Request.Name(request)} is answered with the error 0x{answer:x}");
    }

    private static CheckCase Refused(string name, string what, uint direction, uint phase) =>
        new(name, From.VhostUser("SET_DEVICE_STATE_FD"), $"{what} is refused, or ends the connection.", bench =>
        {
            FrontEnd front = Ready(bench);
            (PipeEnd reading, PipeEnd writing) = PipeEnd.Create();
            using (reading)
            using (writing)
            {
                ulong? answer = Answered(bench, front, direction, phase, writing.Descriptor);
                return answer is null ? "connection closed" : (answer & Error) != 0 ? "refused" : throw new FailedException($"granted with 0x{answer:x}");
            }
        });
}

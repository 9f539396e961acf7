using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.Proxy;

/// <summary>One front-end, one back-end, and everything between them: passed on first, then put into words.</summary>
/// <remarks>
/// The socket for the back-end's own requests goes through here, too: the front-end's descriptor is kept, and the back-end gets
/// one of ours. Rings, kicks and interrupts do not: the two share them directly, and lose no time to us.
/// </remarks>
internal sealed class ProxySession : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan SlowAnswer = TimeSpan.FromSeconds(2);

    private readonly EventLoop _loop;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly SessionRemarks _remarks = new();
    private readonly Queue<(uint Request, TimeSpan At)> _asked = new();
    private readonly Queue<(uint Request, TimeSpan At)> _backEndAsked = new();
    private readonly List<Direction> _directions = [];
    private readonly ILoopTimer _slow;
    private readonly Action<ProxiedMessage> _passed;
    private readonly Action<string?> _ended;
    private string _last = "nothing";
    private bool _isOver;

    public ProxySession(EventLoop loop, TimeProvider time, UnixSocket frontEnd, UnixSocket backEnd, Action<ProxiedMessage> passed, Action<string?> ended)
    {
        (_loop, _time, _passed, _ended) = (loop, time, passed, ended);
        _start = time.GetTimestamp();
        _slow = loop.CreateTimer(SayWhoWaits);
        Join(frontEnd, backEnd, isBackEndChannel: false);
    }

    /// <summary>What was agreed on, and the like.</summary>
    public SessionRemarks State => _remarks;

    private TimeSpan Now => _time.GetElapsedTime(_start);

    public void Dispose()
    {
        _isOver = true;
        _slow.Disarm();
        foreach (Direction direction in _directions)
            direction.Dispose();
        _directions.Clear();
    }

    private void Join(UnixSocket frontEnd, UnixSocket backEnd, bool isBackEndChannel)
    {
        _directions.Add(new Direction(this, frontEnd, backEnd, ProxySender.FrontEnd, isBackEndChannel));
        _directions.Add(new Direction(this, backEnd, frontEnd, ProxySender.BackEnd, isBackEndChannel));
    }

    private void Passed(Direction way, IReadOnlyList<string> descriptors)
    {
        MessageHeader header = way.Stream.Header;
        ReadOnlySpan<byte> payload = way.Stream.Payload;
        bool isReply = way.IsBackEndChannel ? way.Sender == ProxySender.FrontEnd : way.Sender == ProxySender.BackEnd;
        Queue<(uint Request, TimeSpan At)> asked = way.IsBackEndChannel ? _backEndAsked : _asked;
        TimeSpan now = Now;
        TimeSpan? took = null;
        uint request = header.Request;
        IReadOnlyList<string> remarks = [];
        if (isReply)
        {
            uint? expected = null;
            if (asked.TryDequeue(out (uint Request, TimeSpan At) question))
                (expected, took, request) = (question.Request, now - question.At, question.Request);
            if (!way.IsBackEndChannel)
                remarks = _remarks.OnReply(expected, header, payload);
        }
        else if (way.IsBackEndChannel ? (header.Flags & MessageFlags.NeedReply) != 0 : _remarks.IsAnswered(header))
        {
            asked.Enqueue((request, now));
        }

        if (!isReply && !way.IsBackEndChannel)
            remarks = _remarks.OnRequest(header, payload, descriptors.Count);
        string name = way.IsBackEndChannel ? MessageFacts.BackEndNameOf(request) : MessageFacts.NameOf(request);
        IReadOnlyList<string> fields = way.IsBackEndChannel
            ? MessageText.BackEndFields(request, isReply, payload)
            : MessageText.Fields(request, isReply, payload);
        _last = isReply ? $"the answer to {name}" : name;
        _slow.Disarm();
        if (_asked.Count > 0)
            _slow.Arm(SlowAnswer);
        _passed(new ProxiedMessage(now, way.Sender, name, isReply, way.IsBackEndChannel, request, (uint)header.Flags, header.Size, took, fields, descriptors, remarks));
    }

    private void PassedBytes(Direction way)
    {
        string remark = $"these {way.Stream.Bytes.Length} bytes are no vhost-user message (version 1 in the flags, a size that can be); from here on this direction is only passed on";
        _passed(Own(way.Sender, "(no message)", way.IsBackEndChannel, remark));
    }

    private void SayWhoWaits()
    {
        if (_asked.TryPeek(out (uint Request, TimeSpan At) question))
            Say($"{MessageFacts.NameOf(question.Request)} has waited {(Now - question.At).TotalSeconds:F0} s for its answer: the back-end is stuck, and the front-end with it");
    }

    private void Say(string remark) => _passed(Own(ProxySender.Proxy, "", isBackEndChannel: false, remark));

    private ProxiedMessage Own(ProxySender sender, string name, bool isBackEndChannel, string remark) =>
        new(Now, sender, name, IsReply: false, isBackEndChannel, 0, 0, 0, null, [], [], [remark]);

    /// <summary>SET_BACKEND_REQ_FD: puts us between.</summary>
    /// <returns>What the back-end gets in place of the front-end's descriptor; the caller closes it.</returns>
    private FileDescriptor Interpose(FileDescriptor ofFrontEnd)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair(nonBlocking: true);
        using (theirs)
        {
            Join(UnixSocket.Adopt(ofFrontEnd, nonBlocking: true), ours, isBackEndChannel: true);
            return theirs.Descriptor.Duplicate();
        }
    }

    private void Closed(Direction way)
    {
        if (way.IsBackEndChannel)
        {
            // Front-ends and back-ends replace this socket at will; the session goes on.
            foreach (Direction direction in _directions.Where(direction => direction.IsOfSamePair(way)).ToList())
            {
                direction.Dispose();
                _directions.Remove(direction);
            }

            return;
        }

        bool isFrontEnd = way.Sender == ProxySender.FrontEnd;
        string? why = (isFrontEnd, _asked.Count) switch
        {
            (true, 0) => null,
            (true, _) => $"the front-end left while it waited for the answer to {MessageFacts.NameOf(_asked.Peek().Request)}",
            (false, 0) => $"the back-end hung up; the last that passed was {_last}: its log says why",
            (false, _) => $"the back-end hung up instead of answering {MessageFacts.NameOf(_asked.Peek().Request)}: its log says why",
        };
        if (way.Stream.Unfinished > 0)
            why = $"the {(isFrontEnd ? "front-end" : "back-end")} left in the middle of a message, after {way.Stream.Unfinished} bytes of it";
        if (why is not null)
            Say(why);
        End(why);
    }

    private void End(string? why)
    {
        if (_isOver)
            return;
        Dispose();
        _ended(why);
    }

    /// <summary>One direction of one socket pair.</summary>
    private sealed class Direction : IReadyHandler, IDisposable
    {
        private readonly ProxySession _session;
        private readonly UnixSocket _from;
        private readonly UnixSocket _to;
        private readonly IEventRegistration _registration;
        private bool _saidBroken;

        public Direction(ProxySession session, UnixSocket from, UnixSocket to, ProxySender sender, bool isBackEndChannel)
        {
            (_session, _from, _to, Sender, IsBackEndChannel) = (session, from, to, sender, isBackEndChannel);
            Stream = new MessageStream(from);
            _registration = session._loop.Register(from.Descriptor, EpollEvents.In, this);
        }

        public ProxySender Sender { get; }

        public bool IsBackEndChannel { get; }

        public MessageStream Stream { get; }

        public bool IsOfSamePair(Direction other) => _from == other._from || _from == other._to;

        public void OnReady(EpollEvents ready)
        {
            try
            {
                switch (Stream.TryRead())
                {
                    case StreamOutcome.Closed:
                        _session.Closed(this);
                        break;
                    case StreamOutcome.Message:
                        _session.Passed(this, PassOn());
                        break;
                    case StreamOutcome.Bytes:
                        PassOn();
                        if (!_saidBroken)
                            _session.PassedBytes(this);
                        _saidBroken = true;
                        break;
                }
            }
            catch (LinuxException gone) when (gone.Errno == Errno.ECONNRESET)
            {
                _session.Closed(this);
            }
            catch (LinuxException gone) when (gone.Errno == Errno.EPIPE)
            {
                // The receiver has hung up. What it sent before is still to be passed on, and then its own direction ends.
                _registration.Update(EpollEvents.None);
            }
            catch (LinuxException failure)
            {
                _session.Say(failure.Message);
                _session.End(failure.Message);
            }
        }

        public void Dispose()
        {
            _registration.Dispose();
            Stream.Dispose();
            _from.Dispose();
        }

        /// <returns>What the descriptors are that came with it.</returns>
        private List<string> PassOn()
        {
            if (Stream.Fds.Truncated)
                _session.Say("descriptors were lost on their way through this proxy (MSG_CTRUNC): it may not open more files");
            List<string> described = [];
            var fds = new FileDescriptor[Stream.Fds.Count];
            try
            {
                for (int i = 0; i < fds.Length; i++)
                {
                    FileDescriptor fd = Stream.Fds.Take(i);
                    described.Add(fd.Describe() ?? "a descriptor");
                    fds[i] = IsBackEndSocket(fd, fds.Length) ? _session.Interpose(fd) : fd;
                }

                _to.SendAllWithFds(Stream.Bytes, fds, Patience);
                return described;
            }
            finally
            {
                foreach (FileDescriptor? fd in fds)
                    fd?.Dispose();
            }
        }

        private bool IsBackEndSocket(FileDescriptor fd, int count) =>
            Sender == ProxySender.FrontEnd && !IsBackEndChannel && count == 1 && !Stream.IsBroken
            && (FrontEndRequest)Stream.Header.Request == FrontEndRequest.SetBackEndReqFd
            && FileFacts.Of(fd).Kind == FileKind.Socket;
    }
}

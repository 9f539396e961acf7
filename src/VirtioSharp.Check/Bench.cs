using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Requests;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check;

/// <summary>What a case works with: the daemon under check, and everything it opens, which is closed when it ends.</summary>
internal sealed class Bench(CheckOptions options)
{
    private static readonly TimeSpan ListensAgainWithin = TimeSpan.FromSeconds(2);

    private readonly Stack<IDisposable> _opened = [];
    private readonly DeviceRequests? _requests = DeviceRequests.Of(options.Device);
    private Facts? _facts;
    private FrontEnd? _current;
    private int _served;

    /// <summary>The daemon ends when its front-end leaves, as some do by design; it is started again for the next.</summary>
    public bool EndsWithFrontEnd { get; set; }

    /// <summary>How long something may take that must happen.</summary>
    public TimeSpan Patience => options.Timeout;

    /// <summary>How long to look out for something that may happen.</summary>
    public TimeSpan Pause { get; } = TimeSpan.FromMilliseconds(Math.Min(150, options.Timeout.TotalMilliseconds));

    public bool CanMakeRequests => _requests is not null;

    public DeviceRequests Requests => _requests ?? throw new InvalidOperationException("the case did not say that it needs requests");

    /// <summary>The daemon's process, by its latest connection; 0 if that cannot be seen.</summary>
    public int ProcessId { get; private set; }

    /// <summary>What the daemon offers; found out before the first case, over a connection of its own.</summary>
    public Facts Offer => _facts ??= FindOut();

    /// <summary>A connection on which nothing has been said. The one before is closed: most daemons serve one at a time.</summary>
    /// <exception cref="UnreachableException">There is none to be had.</exception>
    public FrontEnd Connect()
    {
        _current?.Dispose();
        return _current = ConnectBeside();
    }

    /// <summary>A connection beside the one that is there.</summary>
    public FrontEnd ConnectBeside()
    {
        if (EndsWithFrontEnd && options.Daemon is { } daemon && daemon.ProcessId == _served && daemon.DiesWithin(ListensAgainWithin) && daemon.HasLeft)
            daemon.Start();
        _served = options.Daemon?.ProcessId ?? 0;
        long deadline = Environment.TickCount64 + (long)ListensAgainWithin.TotalMilliseconds;
        while (true)
        {
            try
            {
                UnixSocket socket = UnixSocket.Connect(options.SocketPath, Patience);
                ProcessId = socket.Peer.ProcessId;
                return Track(new FrontEnd(socket, Patience));
            }
            // A daemon may make its socket anew for each front-end.
            catch (LinuxException refused) when (refused.Errno is Errno.ECONNREFUSED or Errno.ENOENT && Environment.TickCount64 < deadline)
            {
                Thread.Sleep(20);
            }
            catch (LinuxException refused)
            {
                throw new UnreachableException(refused.Errno switch
                {
                    Errno.ENOENT => "no socket is there",
                    Errno.ECONNREFUSED => "nobody listens there (connection refused)",
                    Errno.EAGAIN => $"nobody accepts a connection within {Patience.TotalSeconds} s",
                    _ => refused.Message,
                });
            }
        }
    }

    /// <summary>A connection whose features are negotiated.</summary>
    public FrontEnd Negotiate(Plan? plan = null) => Negotiate(plan ?? Plan.Usual, out _);

    /// <summary>A session as <see cref="Start"/> makes it, up to the point where memory and ring would be described.</summary>
    public Session Prepare(Plan? plan = null, GuestRegion? ram = null)
    {
        plan ??= Plan.Usual;
        FrontEnd front = Negotiate(plan, out ulong features);
        ram ??= Ram();
        bool packed = (features & Feature.RingPacked) != 0;
        DriverRing ring = packed ? new PackedRing(ram, ram.Guest, plan.Size) : new SplitRing(ram, ram.Guest, plan.Size, at: plan.At);
        return Track(new Session(this, front, ram, ring, features));
    }

    /// <summary>A whole good session: the ring runs when it returns.</summary>
    public Session Start(Plan? plan = null)
    {
        Session session = Prepare(plan);
        session.SetFeatures();
        session.ShareMemory();
        session.StartRing();
        return session;
    }

    public GuestRegion Ram(ulong guest = GuestRegion.DefaultGuest, ulong user = GuestRegion.DefaultUser, ulong size = GuestRegion.DefaultSize, ulong offset = 0) =>
        Track(new GuestRegion(guest, user, size, offset));

    public T Track<T>(T opened)
        where T : IDisposable
    {
        _opened.Push(opened);
        return opened;
    }

    /// <summary>Skips the case unless the daemon offers this.</summary>
    public void Need(Protocol protocol)
    {
        if ((Offer.Protocol & protocol) != protocol)
            throw new SkippedException($"the protocol feature {protocol & ~Offer.Protocol} is not offered");
    }

    /// <summary>Skips the case unless the daemon offers this.</summary>
    public void NeedFeature(ulong feature)
    {
        if ((Offer.Features & feature) == 0)
            throw new SkippedException($"{Feature.Name(feature)} is not offered");
    }

    /// <summary>A new session is served: with a request where we can make one.</summary>
    public void ServeNewSession()
    {
        if (CanMakeRequests)
            Start().Serve();
        else
            Negotiate().Barrier();
    }

    /// <summary>Starts the daemon again if it is ours to start; one that has died is told with its death.</summary>
    /// <exception cref="UnreachableException">It does not come to listen.</exception>
    public string Restart()
    {
        if (options.Daemon is not { } daemon)
            return "";
        string died = daemon.DiesWithin(DaemonCommand.DiesSoon) ? $"the daemon {daemon.Death}; " : "";
        daemon.Start();
        return died;
    }

    /// <summary>Closes what the case has opened, the latest first.</summary>
    public void Clear()
    {
        while (_opened.TryPop(out IDisposable? opened))
            opened.Dispose();
    }

    private FrontEnd Negotiate(Plan plan, out ulong features)
    {
        FrontEnd front = Connect();
        front.PieceSize = plan.PieceSize;
        features = front.AskU64(Request.GetFeatures);
        if ((features & Feature.ProtocolFeatures) != 0)
        {
            var protocol = (Protocol)front.AskU64(Request.GetProtocolFeatures) & plan.Protocol;
            front.Send(Request.SetProtocolFeatures, Payload.U64((ulong)protocol));
            front.HasReplyAck = (protocol & Protocol.ReplyAck) != 0;
        }

        front.Send(Request.SetOwner);
        features &= plan.Features | Feature.ProtocolFeatures;
        return front;
    }

    private Facts FindOut()
    {
        using FrontEnd front = Connect();
        ulong features = front.AskU64(Request.GetFeatures);
        Protocol protocol = Protocol.None;
        uint queues = 0;
        if ((features & Feature.ProtocolFeatures) != 0)
        {
            protocol = (Protocol)front.AskU64(Request.GetProtocolFeatures);
            front.Send(Request.SetProtocolFeatures, Payload.U64((ulong)(protocol & Protocol.Mq)));
            if ((protocol & Protocol.Mq) != 0)
                queues = (uint)front.AskU64(Request.GetQueueNum);
        }

        return new Facts(features, protocol, queues);
    }
}

/// <summary>What a daemon offers.</summary>
/// <param name="Features">Of the device, and bit 30.</param>
/// <param name="Protocol">Of the protocol.</param>
/// <param name="Queues">How many queues it has; 0 when it does not say.</param>
internal sealed record Facts(ulong Features, Protocol Protocol, uint Queues);

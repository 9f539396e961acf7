using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A message of the front-end's, as it came.</summary>
internal sealed record Heard(FrontEndRequest Request, uint Flags, byte[] Payload, int Fds);

/// <summary>
/// A back-end of few words on a thread of its own, that answers as the specification says, or as a test's script does. It has no
/// device, and serves one connection after the other.
/// </summary>
internal sealed class ScriptedBackEnd : IDisposable
{
    public const ulong Features = Wire.ProtocolFeatures | Wire.Version1;

    private readonly Testing.TemporaryDirectory _directory = new();
    private readonly UnixListener _listener;
    private readonly Thread _thread;
    private readonly ReceivedFds _fds = new();
    private volatile bool _stopped;
    private UnixSocket? _peer;

    public ScriptedBackEnd()
    {
        _listener = UnixListener.Listen(_directory["s"]);
        _thread = new Thread(Run) { IsBackground = true };
    }

    /// <summary>What to do in place of the usual answer. A script that returns false has closed the connection.</summary>
    public Dictionary<FrontEndRequest, Func<Heard, bool>> Script { get; } = [];

    public ProtocolFeatures Offered { get; init; } = VhostUserFrontEndOptions.Implemented;

    /// <summary>All that was said, of all connections.</summary>
    public ConcurrentQueue<Heard> Messages { get; } = [];

    /// <summary>The socket for its own requests, and the ring's descriptors, as they were given last.</summary>
    public UnixSocket? Requests { get; private set; }

    public EventFd? Call { get; private set; }

    public EventFd? Error { get; private set; }

    /// <summary>What was in the in-flight files that came back.</summary>
    public ConcurrentQueue<FileIdentity> InflightFiles { get; } = [];

    /// <summary>Connects a front-end to it.</summary>
    public VhostUserFrontEnd Connect(VhostUserFrontEndOptions? options = null, DeviceId device = DeviceId.Entropy)
    {
        if (!_thread.IsAlive)
            _thread.Start();
        return VhostUserFrontEnd.Connect(_directory["s"], device, (options ?? new()) with { MemoryBytes = 1 << 20 });
    }

    public void Send(ReadOnlySpan<byte> bytes, params ReadOnlySpan<FileDescriptor> fds) => _peer!.SendAllWithFds(bytes, fds, Patience.Limit);

    public void Reply(FrontEndRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<FileDescriptor> fds) =>
        Send([.. Wire.Header((uint)request, Wire.Version | Wire.Reply, (uint)payload.Length), .. payload], fds);

    /// <summary>Closes the connection; for a script to return.</summary>
    public bool HangUp()
    {
        _peer!.Dispose();
        return false;
    }

    /// <summary>Leaves, from a test's thread: the front-end reads the end.</summary>
    public void Leave() => Descriptors.EndSending(_peer!.Descriptor);

    /// <summary>Asks over its own socket, and waits for the answer if it wants one.</summary>
    public void Ask(uint request, uint flags, byte[] payload, params ReadOnlySpan<FileDescriptor> fds)
    {
        Requests!.SendAllWithFds([.. Wire.Header(request, flags, (uint)payload.Length), .. payload], fds, Patience.Limit);
        if ((flags & Wire.NeedReply) == 0)
            return;
        byte[] answer = new byte[20];
        using var none = new ReceivedFds(1);
        for (int have = 0; have < answer.Length && Readiness.WaitReadable(Requests.Descriptor, Patience.Limit);)
            have += Requests.ReceiveWithFds(answer.AsSpan(have), none);
        Xunit.Assert.Equal([.. Wire.Header(request, Wire.Version | Wire.Reply, 8), .. Wire.U64(0)], answer);
    }

    public void Dispose()
    {
        _stopped = true;
        if (_thread.IsAlive)
        {
            if (_peer is { Descriptor.IsClosed: false } peer)
                Descriptors.End(peer.Descriptor); // a front-end that is still there
            using (UnixSocket.Connect(_directory["s"])) // wakes it
                Xunit.Assert.True(_thread.Join(Patience.Limit), "the scripted back-end does not stop");
        }

        _listener.Dispose();
        Forget();
        _fds.Dispose();
        _directory.Dispose();
    }

    private void Run()
    {
        while (!_stopped)
        {
            _peer = _listener.Accept()!;
            try
            {
                while (!_stopped && TryHear(out Heard? heard) && Obey(heard!))
                {
                }
            }
            catch (LinuxException)
            {
                // The front-end has left in the middle.
            }

            _peer.Dispose();
            Forget();
        }
    }

    private void Forget()
    {
        Requests?.Dispose();
        Call?.Dispose();
        Error?.Dispose();
        (Requests, Call, Error) = (null, null, null);
    }

    private bool TryHear(out Heard? heard)
    {
        _fds.Clear();
        heard = null;
        byte[] header = new byte[12];
        if (!TryFill(header))
            return false;
        uint[] words = MemoryMarshal.Cast<byte, uint>(header).ToArray();
        byte[] payload = new byte[words[2]];
        if (!TryFill(payload))
            return false;
        heard = new Heard((FrontEndRequest)words[0], words[1], payload, _fds.Count);
        Messages.Enqueue(heard);
        return true;
    }

    private bool TryFill(byte[] bytes)
    {
        for (int have = 0, got; have < bytes.Length; have += got)
        {
            got = _peer!.ReceiveWithFds(bytes.AsSpan(have), _fds);
            if (got == 0)
                return false;
        }

        return true;
    }

    private bool Obey(Heard heard)
    {
        Keep(heard.Request);
        if (Script.TryGetValue(heard.Request, out Func<Heard, bool>? script))
            return script(heard);
        Answer(heard);
        return true;
    }

    private void Keep(FrontEndRequest request)
    {
        switch (request)
        {
            case FrontEndRequest.SetBackEndReqFd:
                Requests = UnixSocket.Adopt(_fds.Take(0));
                break;
            case FrontEndRequest.SetVringCall:
                Call?.Dispose();
                Call = EventFd.Adopt(_fds.Take(0));
                break;
            case FrontEndRequest.SetVringErr:
                Error?.Dispose();
                Error = EventFd.Adopt(_fds.Take(0));
                break;
            case FrontEndRequest.SetInflightFd:
                using (FileDescriptor file = _fds.Take(0))
                    InflightFiles.Enqueue(FileFacts.Of(file).Identity);
                break;
        }
    }

    /// <summary>As the specification says.</summary>
    public void Answer(Heard heard)
    {
        switch (heard.Request)
        {
            case FrontEndRequest.GetFeatures:
                Reply(heard.Request, Wire.U64(Features));
                break;
            case FrontEndRequest.GetProtocolFeatures:
                Reply(heard.Request, Wire.U64((ulong)Offered));
                break;
            case FrontEndRequest.GetQueueNum:
                Reply(heard.Request, Wire.U64(1));
                break;
            case FrontEndRequest.GetMaxMemSlots:
                Reply(heard.Request, Wire.U64(8));
                break;
            case FrontEndRequest.GetStatus:
                byte[] status = Messages.LastOrDefault(said => said.Request == FrontEndRequest.SetStatus)?.Payload ?? Wire.U64(0);
                Reply(heard.Request, status);
                break;
            case FrontEndRequest.GetConfig:
            case FrontEndRequest.GetVringBase:
                Reply(heard.Request, heard.Payload);
                break;
            case FrontEndRequest.GetInflightFd:
                using (FileDescriptor file = MemFd.Create("in-flight", 4096))
                    Reply(heard.Request, Inflight(4096, 0), file);
                break;
            default:
                if ((heard.Flags & Wire.NeedReply) != 0)
                    Reply(heard.Request, Wire.U64(0));
                break;
        }
    }

    /// <summary>The in-flight description, 24 bytes.</summary>
    public static byte[] Inflight(ulong size, ulong offset) => [.. Wire.U64(size), .. Wire.U64(offset), 1, 0, 64, 0, 0, 0, 0, 0];
}

using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VirtioSharp.Backends.Block;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Backends.Nbd;

/// <summary>How to treat a server that does not answer.</summary>
public sealed record NbdBackendOptions
{
    /// <summary>How long a request waits for its answer, also while the server is away, before it fails; zero is for ever.</summary>
    /// <remarks>Two minutes, as iSCSI's initiators have it: a machine restarts in that time, and a driver that is told of an
    /// error is worse off than one that waits.</remarks>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long a server that is connected may be silent while a queue that stops waits for it.</summary>
    /// <remarks>A disk's flush may take seconds; who stops a queue, and every other queue, waits with us.</remarks>
    internal TimeSpan SilenceAtStop { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a server must have been there until it is one that went away for the first time.</summary>
    internal TimeSpan SettledAfter { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>Keeps the bytes in an export of an NBD server: many requests under way on one connection, answered in any order.</summary>
/// <remarks>
/// A server that goes away is waited for: requests that are not answered are sent to it again when it is back. What it
/// had answered and nobody had flushed may have gone with it. Nobody can know, so the flush that was to make it
/// stable fails, once; Linux's and QEMU's clients say nothing of it. A flush that the server itself fails is final, as
/// with a file: what it could not write it may have dropped, and would not say so a second time.
/// </remarks>
public sealed partial class NbdBackend : IBlockBackend, IReadyHandler, IDeferred, INbdAsker
{
    private const int HandshakeMilliseconds = 10_000, StopMilliseconds = 5_000, LongestStop = 30_000, FirstPause = 100, LongestPause = 5_000;

    private readonly NbdUri _uri;
    private readonly IReadOnlyList<EndPoint> _addresses;
    private readonly ILogger _log;
    private readonly NbdSender _sender = new();
    private readonly NbdReceiver _receiver;
    private readonly FlushTurns _flushes = new();
    private readonly List<NbdRequest> _requests = [];
    private readonly Stack<NbdRequest> _idle = new();
    private readonly HashSet<(BlockOperationKind, NbdError)> _told = [];
    private readonly long _timeout, _silence, _settled; // milliseconds
    private NbdExport _export;
    private long _answered, _flushed; // writes that may be lost were answered so often, and were flushed up to there
    private bool _isLossUntold, _hasFlushFailed;
    private int _reads;

    private NbdBackend(NbdUri uri, IReadOnlyList<EndPoint> addresses, NbdLink link, NbdBackendOptions? options, ILogger? log)
    {
        (_uri, _addresses, _link, _log) = (uri, addresses, link, log ?? NullLogger.Instance);
        options ??= new();
        (_timeout, _silence, _settled) = (Milliseconds(options.Timeout), Milliseconds(options.SilenceAtStop), Milliseconds(options.SettledAfter));
        _upSince = Environment.TickCount64;
        _export = link.Export!;
        _receiver = new NbdReceiver(this);
        _receiver.Clear();
        bool isWritable = !_export.Has(NbdFlags.ReadOnly);
        Traits = new BlockBackendTraits
        {
            IsReadOnly = !isWritable,
            CanDiscard = isWritable && _export.Has(NbdFlags.SendTrim),
            CanUnmapZeroes = isWritable && _export.Has(NbdFlags.SendWriteZeroes),
            LogicalBlockSize = (int)Math.Max(_export.MinimumBlock, BlockLayout.SectorBytes),
            PhysicalBlockSize = (int)Math.Min(_export.PreferredBlock, 1 << 20),
        };
        TellExport();
    }

    /// <inheritdoc/>
    public BlockBackendTraits Traits { get; }

    /// <inheritdoc/>
    public ulong Length => _export.Size;

    /// <summary>The export as its server described it last.</summary>
    public NbdExport Export => _export;

    /// <summary>Operations that are not answered.</summary>
    public int InFlight { get; private set; }

    /// <summary>Called when the server has come back with a longer export.</summary>
    public Action? LengthChanged { get; set; }

    bool INbdAsker.IsStructured => _export.IsStructured;

    bool INbdAsker.IsReading => _reads > 0;

    /// <inheritdoc/>
    public void Resize(ulong length) => throw new NotSupportedException("the server says how long its export is; a longer one is seen when the connection is made anew");

    /// <inheritdoc/>
    public void Submit(BlockOperation operation)
    {
        if (operation.Kind == BlockOperationKind.Flush)
        {
            if (_flushes.Add(operation))
                Flush();
            return;
        }

        if (operation.Kind == BlockOperationKind.Discard && !_export.Has(NbdFlags.SendTrim))
        {
            operation.Complete(BlockStatus.Ok); // came back without it; a discard promises nothing
            return;
        }

        if (((operation.Offset | operation.Length) & (Traits.LogicalBlockSize - 1)) != 0)
        {
            Tell(operation, NbdError.Invalid, $"the server's blocks have {Traits.LogicalBlockSize} bytes");
            operation.Complete(BlockStatus.IoError);
            return;
        }

        Begin(operation);
    }

    NbdRequest? INbdAsker.Find(ulong cookie)
    {
        uint index = (uint)cookie;
        return index < _requests.Count && _requests[(int)index] is { Operation: not null } request && request.Cookie == cookie ? request : null;
    }

    void INbdAsker.Answered(NbdRequest request, NbdError error)
    {
        _heard = Environment.TickCount64;
        if (error == NbdError.Shutdown)
            throw new NbdException(NbdFailure.Unreachable, "the server is shutting down");
        BlockOperation operation = request.Operation!;
        if (error != NbdError.None)
        {
            _hasFlushFailed |= request.Command == NbdCommand.Flush;
            Tell(operation, error, $"the server says {error}");
            End(request, error == NbdError.NotSupported ? BlockStatus.Unsupported : BlockStatus.IoError);
            return;
        }

        if (request.Command == NbdCommand.Flush)
        {
            _flushed = Math.Max(_flushed, request.Covers);
            End(request, BlockStatus.Ok);
        }
        else if (request.Advance(request.Length) > 0)
        {
            Send(request);
        }
        else if (MustBeStable(operation) && !_export.Has(NbdFlags.SendFua) && _export.Has(NbdFlags.SendFlush))
        {
            Ask(request, NbdCommand.Flush, 0, 0);
        }
        else
        {
            _answered += operation.Kind == BlockOperationKind.Read || MustBeStable(operation) || !_export.Has(NbdFlags.SendFlush) ? 0 : 1;
            End(request, BlockStatus.Ok);
        }
    }

    /// <summary>Rounded up: zero is for ever.</summary>
    private static long Milliseconds(TimeSpan span) => (long)Math.Ceiling(span.TotalMilliseconds);

    private static bool MustBeStable(BlockOperation operation) => operation.MustBeStable && operation.Kind is BlockOperationKind.Write or BlockOperationKind.WriteZeroes;

    /// <summary>Begins the flush whose turn it is; answers it and those after it that need not, or cannot, go to the server.</summary>
    private void Flush()
    {
        bool fails;
        do
        {
            fails = _hasFlushFailed || _isLossUntold;
            if (!fails && _export.Has(NbdFlags.SendFlush))
            {
                Begin(_flushes.First);
                return;
            }

            _isLossUntold = false;
        }
        while (_flushes.End(fails ? BlockStatus.IoError : BlockStatus.Ok)); // a server without flush promises that what it answered is stable
    }

    private void Begin(BlockOperation operation)
    {
        NbdRequest request = Rent();
        request.Begin(operation, Environment.TickCount64);
        InFlight++;
        _reads += operation.Kind == BlockOperationKind.Read ? 1 : 0;
        if (IsUp)
            Send(request);
        WatchTheClock();
    }

    /// <summary>Sends what is next of an operation: all of it, mostly.</summary>
    private void Send(NbdRequest request)
    {
        const long LongestRange = 1 << 30; // a length has 32 bits
        BlockOperation operation = request.Operation!;
        long left = operation.Offset + operation.Length - request.Offset;
        ushort fua = MustBeStable(operation) && _export.Has(NbdFlags.SendFua) ? NbdProtocol.FlagFua : (ushort)0;
        switch (operation.Kind)
        {
            case BlockOperationKind.Read:
                Ask(request, NbdCommand.Read, 0, Math.Min(left, _export.MaximumPiece));
                break;
            case BlockOperationKind.WriteZeroes when _export.Has(NbdFlags.SendWriteZeroes):
                Ask(request, NbdCommand.WriteZeroes, operation.MayUnmap ? fua : (ushort)(fua | NbdProtocol.FlagNoHole), Math.Min(left, LongestRange));
                break;
            case BlockOperationKind.Write or BlockOperationKind.WriteZeroes:
                Ask(request, NbdCommand.Write, fua, Math.Min(left, _export.MaximumPiece));
                break;
            case BlockOperationKind.Discard:
                Ask(request, NbdCommand.Trim, 0, Math.Min(left, LongestRange));
                break;
            default:
                Ask(request, NbdCommand.Flush, 0, 0);
                break;
        }
    }

    private void Ask(NbdRequest request, NbdCommand command, ushort flags, long length)
    {
        request.Ask(command, flags, length);
        request.Covers = _answered;
        _sender.Add(request);
        _loop?.Defer(this); // together with what else this turn brings
    }

    private void End(NbdRequest request, BlockStatus status)
    {
        BlockOperation operation = request.Operation!;
        Release(request);
        if (operation.Kind != BlockOperationKind.Flush)
            operation.Complete(status); // the device may submit another: nothing of ours may be half done here
        else if (_flushes.End(status))
            Flush();
    }

    private void Release(NbdRequest request)
    {
        _reads -= request.Operation!.Kind == BlockOperationKind.Read ? 1 : 0;
        InFlight--;
        request.End();
        _idle.Push(request);
    }

    private NbdRequest Rent()
    {
        if (!_idle.TryPop(out NbdRequest? request))
            _requests.Add(request = new NbdRequest(_requests.Count));
        return request;
    }

    private void Tell(BlockOperation operation, NbdError error, string reason)
    {
        if (_told.Add((operation.Kind, error)))
            _log.OperationFailed(operation.Kind, operation.Length, operation.Offset, reason);
    }

    private void TellExport() => _log.Entered(_uri, _export.Size, _export.Flags, _export.MinimumBlock, _export.PreferredBlock, _export.MaximumPayload, _export.IsStructured ? "in chunks" : "simple");
}

using System.Diagnostics;
using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>What rings wait for behind an IOMMU, one translation each: asked for once, and never waited for by anybody else.</summary>
/// <remarks>
/// A ring goes on when the translation has come, or when it is refused: the front-end answers the miss with an error, or has
/// given less than was asked for and no answer is to come any more. Then its request is answered with length 0, and the
/// front-end told (ACCESS_FAIL).
/// </remarks>
internal sealed class IotlbMisses : IDisposable
{
    private const int PageShift = 12;

    /// <summary>Answers that are awaited at one time; a front-end that gives translations may leave its answers out.</summary>
    private const int MaxAnswers = 256;

    private static readonly TimeSpan RemarkAfter = TimeSpan.FromSeconds(3);

    private readonly SessionRecorder _recorder;
    private readonly ILogger _log;
    private readonly Miss?[] _waiting; // by ring
    private readonly Queue<Miss> _unanswered = new();
    private readonly ILoopTimer _remark;
    private BackEndChannel? _channel;

    public IotlbMisses(int rings, EventLoop loop, SessionRecorder recorder, ILogger log)
    {
        (_waiting, _recorder, _log) = (new Miss?[rings], recorder, log);
        _remark = loop.CreateTimer(LookAtWaiting);
    }

    /// <summary>Lets a ring look again for what it has waited for.</summary>
    public Action<int>? GoOn { get; set; }

    /// <summary>Where to ask; null when there is nobody.</summary>
    public BackEndChannel? Channel
    {
        get => _channel;
        set
        {
            _channel = value;
            _unanswered.Clear();
            if (value is null)
                return;
            (value.MissAnswered, value.Ended) = (OnAnswer, OnEnded);
            foreach (Miss? miss in _waiting)
                miss?.IsAsked = false;
            AskAgain();
        }
    }

    /// <summary>A ring needs a translation. It is asked for unless that has been done.</summary>
    /// <returns>False when it has been refused: the ring should not wait any more.</returns>
    public bool Ask(int ring, GuestAddress address, MemoryAccess access)
    {
        if (_waiting[ring] is { } before && before.Address == address && before.Access == access)
        {
            if (!before.IsRefused)
                return true;
            _waiting[ring] = null;
            _channel?.SendAccessFailure(address, access);
            return false;
        }

        var miss = new Miss(address, access);
        if (_waiting.FirstOrDefault(other => other is { IsAsked: true, IsRefused: false } && other.IsAlike(miss)) is { } alike)
            (miss.IsAsked, miss.IsAnswered, miss.GotLess) = (true, alike.IsAnswered, alike.GotLess);
        else
            Send(miss);
        _waiting[ring] = miss;
        if (!_remark.IsArmed)
            _remark.Arm(RemarkAfter);
        return true;
    }

    /// <summary>A translation has come: rings that waited for it go on.</summary>
    public void Satisfy(IotlbEntry entry)
    {
        for (int ring = 0; ring < _waiting.Length; ring++)
        {
            if (WaitsAmong(ring, entry) is not { } miss)
                continue;
            if ((entry.Access & miss.Access) == miss.Access)
            {
                End(ring, miss, isRefused: false);
                continue;
            }

            // Too little. It may be meant for another miss, perhaps of a ring that has stopped: what was asked for here follows
            // then, or the answer that it does not.
            miss.GotLess = true;
            Judge(ring, miss);
        }
    }

    /// <summary>What some rings wait for will not come.</summary>
    public void Refuse(IotlbEntry entry)
    {
        for (int ring = 0; ring < _waiting.Length; ring++)
            if (WaitsAmong(ring, entry) is { } miss)
                End(ring, miss, isRefused: true);
    }

    /// <summary>A ring does not wait any more.</summary>
    public void Forget(int ring) => _waiting[ring] = null;

    /// <summary>No ring waits any more.</summary>
    public void Clear() => Array.Clear(_waiting);

    public void Dispose() => _remark.Disarm();

    /// <summary>What a ring waits for, if that is in an entry.</summary>
    private Miss? WaitsAmong(int ring, IotlbEntry entry) =>
        _waiting[ring] is { IsRefused: false } miss && miss.Address.Value >= entry.Region.Start.Value && miss.Address.Value <= entry.Last ? miss : null;

    /// <summary>Less than was asked for is all there is once nothing is to come any more.</summary>
    private void Judge(int ring, Miss miss)
    {
        if (miss is { GotLess: true, IsAnswered: true })
            End(ring, miss, isRefused: true);
    }

    private void End(int ring, Miss miss, bool isRefused)
    {
        miss.IsRefused = isRefused;
        if (!isRefused)
            _waiting[ring] = null;
        GoOn?.Invoke(ring);
    }

    private void OnAnswer(bool isRefused)
    {
        if (!_unanswered.TryDequeue(out Miss? answered))
            return;
        for (int ring = 0; ring < _waiting.Length; ring++)
        {
            if (_waiting[ring] is not { IsRefused: false } miss || !miss.IsAlike(answered))
                continue;
            miss.IsAnswered = true;
            if (isRefused)
                End(ring, miss, isRefused: true);
            else
                Judge(ring, miss);
        }
    }

    private void OnEnded(string? reason)
    {
        _channel = null;
        if (reason is not null && _recorder.Fault("ChannelBroken"))
            _log.ChannelBroken(reason);
    }

    private void Send(Miss miss)
    {
        bool wantsAnswer = _unanswered.Count < MaxAnswers;
        miss.IsAsked = _channel?.SendMiss(miss.Address, miss.Access, wantsAnswer) == true;
        if (!miss.IsAsked)
            return;
        miss.IsAnswered = !wantsAnswer;
        _recorder.IotlbMiss();
        if (wantsAnswer)
            _unanswered.Enqueue(miss);
    }

    private void AskAgain()
    {
        foreach (Miss? miss in _waiting)
            if (miss is { IsAsked: false })
                Send(miss);
    }

    private void LookAtWaiting()
    {
        AskAgain(); // what could not be sent, because the front-end did not read
        int ring = Array.FindIndex(_waiting, static miss => miss is { IsRefused: false } && Stopwatch.GetElapsedTime(miss.Since) >= RemarkAfter);
        if (ring >= 0 && _recorder.Fault("IotlbUnanswered"))
            _log.Untranslated(ring, _waiting[ring]!.Address.Value, _waiting[ring]!.Access, _channel is null
                ? "there is no socket to ask the front-end (SET_BACKEND_REQ_FD)"
                : $"the front-end has not given one for {RemarkAfter.TotalSeconds} s");
        if (_waiting.Any(static miss => miss is { IsRefused: false }))
            _remark.Arm(RemarkAfter);
    }

    private sealed record Miss(GuestAddress Address, MemoryAccess Access)
    {
        public long Since { get; } = Stopwatch.GetTimestamp();

        public bool IsAsked { get; set; }

        /// <summary>Whether nothing is to come any more on the way on which it was asked: the answer has, or none was wanted.</summary>
        public bool IsAnswered { get; set; }

        /// <summary>Whether a translation has come that allows less.</summary>
        public bool GotLess { get; set; }

        public bool IsRefused { get; set; }

        /// <summary>Whether one answer is good for both: an IOMMU's smallest page is 4 KiB.</summary>
        public bool IsAlike(Miss other) => Address.Value >> PageShift == other.Address.Value >> PageShift && Access == other.Access;
    }
}

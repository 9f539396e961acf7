using System.Diagnostics;
using VirtioSharp.Linux;

namespace VirtioSharp.Check;

/// <summary>Runs cases against a daemon, one after the other, and asks after each whether the daemon still serves.</summary>
/// <remarks>
/// A daemon that dies or falls silent costs the case that did it, not the run: it is started again if we have its command,
/// and otherwise the rest is skipped with the reason.
/// </remarks>
public sealed class CheckRun(CheckOptions options)
{
    private static readonly TimeSpan LeavesWithin = TimeSpan.FromMilliseconds(300);

    private readonly Bench _bench = new(options);
    private string? _lostAt;
    private int _processId;
    private int _askedAgain;

    /// <summary>Runs them, giving each result as it is there.</summary>
    /// <exception cref="UnreachableException">No connection could be made at the beginning.</exception>
    public IEnumerable<CheckResult> Run(IEnumerable<CheckCase> cases)
    {
        options.Daemon?.Start();
        _bench.Connect();
        _bench.Clear();
        _bench.EndsWithFrontEnd = options.Daemon is { } daemon && daemon.DiesWithin(LeavesWithin) && daemon.HasLeft;
        FindOut();
        _processId = _bench.ProcessId;
        foreach (CheckCase one in cases)
        {
            long start = Stopwatch.GetTimestamp();
            (Verdict verdict, string seen) = Judge(one);
            yield return new CheckResult(one, verdict, seen, Stopwatch.GetElapsedTime(start));
        }
    }

    /// <summary>What is offered. A daemon that does not even say that will be told so by the first case.</summary>
    private void FindOut()
    {
        try
        {
            _ = _bench.Offer;
        }
        catch (Exception failed) when (failed is FailedException or LinuxException or UnreachableException)
        {
        }
        finally
        {
            _bench.Clear();
        }
    }

    private (Verdict Verdict, string Seen) Judge(CheckCase one)
    {
        if (WhyNot(one) is { } reason)
            return (Verdict.Skip, reason);
        if (_lostAt is not null && !IsBack())
            return (Verdict.Skip, $"the daemon has not served since {_lostAt}");
        options.Daemon?.ForgetWords();
        Verdict verdict;
        string seen;
        try
        {
            (verdict, seen) = (Verdict.Pass, one.Run(_bench));
        }
        catch (FailedException failed)
        {
            (verdict, seen) = (Verdict.Fail, failed.Message);
        }
        catch (UnreachableException unreachable)
        {
            (verdict, seen) = (Verdict.Fail, $"a connection was refused: {unreachable.Message}");
        }
        catch (SkippedException skipped)
        {
            (verdict, seen) = (Verdict.Skip, skipped.Message);
        }
        catch (LinuxException unexpected)
        {
            (verdict, seen) = (Verdict.Fail, $"the connection broke: {unexpected.Message}");
        }
        finally
        {
            _bench.Clear();
        }

        if (verdict == Verdict.Skip)
            return (verdict, seen);
        if (Aftermath(one) is { } harm)
            return (Verdict.Fail, $"{seen}; afterwards {harm}");
        // What it may have broken inside is not to be blamed on the cases that follow.
        if (verdict == Verdict.Fail && options.Daemon is { } daemon && !Restart(daemon))
            _lostAt = one.Name;
        return (verdict, seen);
    }

    private string? WhyNot(CheckCase one)
    {
        if (one.Needs.HasFlag(Needs.Block) && options.Device != "blk")
            return options.Device is null ? "say what is served: --device blk" : "only for a block device";
        if (one.Needs.HasFlag(Needs.Ring) && !_bench.CanMakeRequests)
            return options.Device is null ? "no request can be made without knowing the device: --device rng or blk" : $"requests to a {options.Device} device are not known here";
        if (one.Needs.HasFlag(Needs.Writing) && !options.MayWrite)
            return "would write to the disk: --write";
        if (one.Needs.HasFlag(Needs.Danger) && !options.Dangerous)
            return "may kill the daemon: --dangerous";
        return null;
    }

    /// <summary>What a case has done to the daemon; null when it serves the next session as before.</summary>
    private string? Aftermath(CheckCase one)
    {
        string? harm = Ask();
        if (options.Daemon is { } daemon)
        {
            if (harm is null)
                return null;
            if (daemon.DiesWithin(DaemonCommand.DiesSoon))
                harm = $"the daemon {daemon.Death}; it was started again";
            if (!Restart(daemon))
                _lostAt = one.Name;
            return harm;
        }

        if (harm is not null)
        {
            _lostAt = one.Name;
            return harm;
        }

        int before = _processId;
        _processId = _bench.ProcessId;
        return before == _processId ? null : $"another process serves: the daemon (process {before}) has died and was replaced";
    }

    /// <summary>A daemon that was lost may have been slow only. Asked twice, it is left alone.</summary>
    private bool IsBack()
    {
        if (_askedAgain >= 2 || Ask() is not null)
        {
            _askedAgain++;
            return false;
        }

        (_lostAt, _askedAgain) = (null, 0);
        _processId = _bench.ProcessId;
        return true;
    }

    /// <summary>Whether a new session is served; null, or why not.</summary>
    private string? Ask()
    {
        try
        {
            _bench.ServeNewSession();
            return null;
        }
        catch (FailedException failed)
        {
            return $"a new session is not served: {failed.Message}";
        }
        catch (UnreachableException gone)
        {
            return $"the daemon is gone: {gone.Message}";
        }
        catch (LinuxException broken)
        {
            return $"a new session breaks: {broken.Message}";
        }
        finally
        {
            _bench.Clear();
        }
    }

    private static bool Restart(DaemonCommand daemon)
    {
        try
        {
            daemon.Start();
            return true;
        }
        catch (UnreachableException)
        {
            return false; // the rest of the run is skipped, unless it comes back after all
        }
    }
}

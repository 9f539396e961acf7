using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Device;
using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>A device's state on its way through a pipe, a piece whenever the loop finds room or bytes: nobody waits for it.</summary>
/// <remarks>The other end may be anybody's. What is read is bounded in size, and all of it in time.</remarks>
internal sealed class StateTransfer : IReadyHandler, IDisposable
{
    private delegate void LoadState(ReadOnlySpan<byte> state);

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly PipeEnd _end;
    private readonly IEventRegistration _registration;
    private readonly ILoopTimer _timer;
    private readonly ILogger _log;
    private readonly LoadState? _load; // null saves
    private readonly byte[] _state;
    private int _moved;
    private bool _succeeded;

    private StateTransfer(PipeEnd end, EventLoop loop, byte[] state, LoadState? load, ILogger log)
    {
        (_end, _state, _load, _log) = (end, state, load, log);
        _timer = loop.CreateTimer(() => Fail($"not done within {Limit.TotalSeconds} s, after {_moved} bytes"));
        _registration = loop.Register(end.Descriptor, load is null ? EpollEvents.Out : EpollEvents.In, this);
        _timer.Arm(Limit);
    }

    /// <summary>Whether bytes are still to be moved.</summary>
    public bool IsUnderWay { get; private set; } = true;

    /// <summary>Sends a device's state.</summary>
    /// <param name="end">Owned from here on.</param>
    /// <param name="loop">The device's.</param>
    /// <param name="host">Whose.</param>
    /// <param name="log">Is told how it ends.</param>
    public static StateTransfer Save(PipeEnd end, EventLoop loop, DeviceHost host, ILogger log) => Begin(end, () => new(end, loop, host.SaveState(), null, log));

    /// <summary>Receives one.</summary>
    /// <param name="end">Owned from here on.</param>
    /// <param name="loop">The device's.</param>
    /// <param name="load">Gets it when it is whole.</param>
    /// <param name="log">Is told how it ends.</param>
    public static StateTransfer Load(PipeEnd end, EventLoop loop, Action<ReadOnlySpan<byte>> load, ILogger log) =>
        Begin(end, () => new(end, loop, new byte[DeviceState.MaxTotalBytes + 1], load.Invoke, log)); // one more: to see that there is too much

    public void OnReady(EpollEvents ready) => Move();

    /// <summary>The other end has seen all, or has sent all.</summary>
    /// <returns>Whether it went over whole, and was good.</returns>
    public bool Finish()
    {
        Move();
        if (IsUnderWay)
            Fail($"asked about before it was done, after {_moved} bytes");
        return _succeeded;
    }

    public void Dispose() => End();

    private static StateTransfer Begin(PipeEnd end, Func<StateTransfer> make)
    {
        try
        {
            return make();
        }
        catch
        {
            end.Dispose();
            throw;
        }
    }

    private void Move()
    {
        try
        {
            while (IsUnderWay)
            {
                int moved = _load is null ? _end.Write(_state.AsSpan(_moved)) : _end.Read(_state.AsSpan(_moved));
                if (moved == PipeEnd.WouldBlock)
                    return;
                _moved += moved;
                if (_load is null ? _moved == _state.Length : moved == 0)
                    Succeed();
                else if (_load is not null && _moved == _state.Length)
                    Fail($"more than {DeviceState.MaxTotalBytes} bytes");
            }
        }
        catch (Exception wrong) when (wrong is not OutOfMemoryException) // a device's mistake, too, costs its state and not the loop
        {
            Fail(wrong.Message);
        }
    }

    private void Succeed()
    {
        _load?.Invoke(_state.AsSpan(0, _moved));
        _succeeded = true;
        _log.StateMoved(_load is null ? "saved" : "loaded", _moved);
        End();
    }

    private void Fail(string reason)
    {
        _log.StateFailed(reason);
        End();
    }

    private void End()
    {
        if (!IsUnderWay)
            return;
        IsUnderWay = false;
        _timer.Disarm();
        _registration.Dispose();
        _end.Dispose();
    }
}

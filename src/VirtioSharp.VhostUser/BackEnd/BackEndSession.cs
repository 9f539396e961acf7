using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>One front-end's session: turns its messages into calls of the device's host, and answers them.</summary>
/// <remarks>
/// Any message may arrive at any time and more than once; what a ring needs is collected until it is complete. A message
/// that breaks the rules ends the session (<see cref="TransportException"/>), after a refusal if one was asked for.
/// A ring that the guest laid out wrongly only stops that ring: the next driver may do better.
/// </remarks>
internal sealed class BackEndSession : IDisposable
{
    private readonly UnixSocket _socket;
    private readonly DeviceHost _host;
    private readonly ILogger _log;
    private readonly IncomingMessage _message;
    private readonly SharedMemory _memory;
    private readonly IotlbMisses _misses;
    private readonly RingSet _rings;
    private readonly MemoryMessages _memoryMessages;
    private readonly RingMessages _ringMessages;
    private readonly DeviceMessages _deviceMessages;
    private readonly StateMessages _stateMessages;
    private readonly IotlbMessages _iotlbMessages;
    private readonly EventLoop _loop;
    private readonly ProtocolFeatures _offeredProtocol;
    private readonly SessionRecorder _recorder;
    private ProtocolFeatures _protocol;
    private BackEndChannel? _channel;
    private bool _hasChanged; // configuration space or the device's NEEDS_RESET, and the front-end has not been told
    private uint _toldGeneration; // a host whose driver is reset, as while a machine pauses, signals nothing, but counts changes

    public BackEndSession(UnixSocket socket, DeviceHost host, EventLoop loop, VhostUserOptions options, SessionRecorder recorder, ILogger log)
    {
        (_socket, _host, _loop, _recorder, _log) = (socket, host, loop, recorder, log);
        _message = new IncomingMessage(socket);
        _memory = new SharedMemory(host);
        _misses = new IotlbMisses(host.Traits.Queues.Count, loop, recorder, log);
        _rings = new RingSet(host, loop, _memory, _misses, recorder, log);
        _misses.GoOn = _rings.GoOn;
        _memoryMessages = new MemoryMessages(_message, _memory, _rings, recorder, log);
        _ringMessages = new RingMessages(_message, _rings);
        _deviceMessages = new DeviceMessages(_message, host, _rings);
        _stateMessages = new StateMessages(_message, host, _rings, loop, log);
        _iotlbMessages = new IotlbMessages(_message, _memory, _rings, _misses, recorder, log);
        _offeredProtocol = options.Offered(host.Traits);
        _toldGeneration = host.ConfigurationGeneration;
    }

    /// <summary>Why a session ends whose <see cref="MemoryLost"/> is called.</summary>
    public const string LostMemory = "the front-end cut memory short that it shares (or its file system has no room for it): what was there is gone";

    /// <summary>Called in a ring's turn, when memory turns out to be gone; to be ended after that.</summary>
    public Action? MemoryLost
    {
        set => _rings.MemoryLost = value;
    }

    private FeatureSet OfferedFeatures => _host.DeviceFeatures
        | new FeatureSet((_offeredProtocol & ProtocolFeatures.LogShmfd) != 0 ? VhostUserFeatures.Protocol | VhostUserFeatures.LogAll : VhostUserFeatures.Protocol);

    /// <summary>Reads and obeys what has arrived.</summary>
    /// <returns>False when the front-end has closed the connection.</returns>
    /// <exception cref="TransportException">It broke the rules; end the session.</exception>
    public bool Receive()
    {
        // One message a turn: the loop comes back while more is there, and the rings have their turns in between.
        switch (_message.TryRead())
        {
            case ReadOutcome.Closed:
                return false;
            case ReadOutcome.Message:
                Obey();
                return true;
            default:
                return true;
        }
    }

    /// <summary>Interrupts for the driver go through the call descriptor the front-end gave.</summary>
    public void SignalUsed(int queue) => _rings[queue].SignalCall();

    /// <summary>Tells the front-end that configuration space has changed, if it wants to know.</summary>
    public void SignalConfigurationChange()
    {
        _hasChanged = true;
        TellOfChange();
    }

    /// <summary>The device gave up: whoever watches the error descriptors is told; the driver sees NEEDS_RESET in the status.</summary>
    public void SignalErrors() => _rings.SignalErrors();

    public void Dispose()
    {
        // In this order: nothing may touch guest memory once it is unmapped.
        _stateMessages.Dispose();
        _rings.Dispose();
        _misses.Dispose();
        _host.Reset();
        _memory.Dispose();
        _channel?.Dispose();
        _message.Dispose();
        _socket.Dispose();
    }

    /// <summary>While the device is suspended, its front-end is told nothing ("Suspended device state"), but it is when the device goes on.</summary>
    private void TellOfChange()
    {
        uint generation = _host.ConfigurationGeneration;
        if ((!_hasChanged && generation == _toldGeneration) || _rings.IsSuspended)
            return;
        (_hasChanged, _toldGeneration) = (false, generation);
        if ((_protocol & ProtocolFeatures.Config) != 0)
            _channel?.SendConfigChange();
    }

    private void Obey()
    {
        MessageRule rule = _message.Rule;
        bool wantsReply = _message.NeedsReply && (_protocol & ProtocolFeatures.ReplyAck) != 0;
        _recorder.Message(rule.Name);
        _log.Message(rule.Name, _message.Payload.Length, _message.Fds.Count);
        bool done;
        try
        {
            if (_rings.HasLostMemory)
                throw new TransportException(LostMemory);
            if (_message.Fds.Count > rule.MaxFds)
                throw new TransportException($"{rule.Name} came with {_message.Fds.Count} file descriptors, at most {rule.MaxFds} belong there");
            if ((rule.Requires & ~_protocol) != 0)
                throw new TransportException($"{rule.Name} belongs to the protocol feature {rule.Requires}, which was not negotiated");
            done = Dispatch();
        }
        catch (TransportException) when (wantsReply && !rule.HasOwnReply)
        {
            _message.Refuse();
            throw;
        }

        if (wantsReply && !rule.HasOwnReply)
            _message.Reply(done ? 0UL : 1UL);
        TellOfChange();
    }

    /// <returns>False when the request was understood but could not be granted.</returns>
    private bool Dispatch()
    {
        switch (_message.Request)
        {
            case FrontEndRequest.GetFeatures:
                _message.Reply(OfferedFeatures.Low);
                return true;
            case FrontEndRequest.SetFeatures:
                return SetFeatures(_message.Read<ulong>());
            case FrontEndRequest.SetOwner:
                return true;
            case FrontEndRequest.GetProtocolFeatures:
                _message.Reply((ulong)_offeredProtocol);
                return true;
            case FrontEndRequest.SetProtocolFeatures:
                SetProtocolFeatures((ProtocolFeatures)_message.Read<ulong>());
                return true;
            case FrontEndRequest.GetQueueNum:
                _message.Reply((ulong)_rings.Count);
                return true;
            case FrontEndRequest.SetBackEndReqFd:
                SetBackEndChannel();
                return true;
            default:
                return _ringMessages.Obey() ?? _iotlbMessages.Obey() ?? _memoryMessages.Obey() ?? _deviceMessages.Obey() ?? _stateMessages.Obey()
                    ?? throw new InvalidOperationException($"{_message.Rule.Name} has a rule but nobody obeys it");
        }
    }

    private bool SetFeatures(ulong value)
    {
        var accepted = new FeatureSet(value);
        FeatureSet unoffered = accepted - OfferedFeatures;
        if (!unoffered.IsEmpty)
            throw new TransportException($"SET_FEATURES accepts {unoffered}, which was not offered: the front-end passes on what the guest accepted from it. Offer it here, or switch it off on the VMM's device, too (QEMU: event_idx=off and the like)");

        // Without the bit there is no SET_VRING_ENABLE: rings are enabled from the start.
        if ((value & VhostUserFeatures.Protocol) == 0)
            _rings.EnableAll();
        _memory.SetLogging((value & VhostUserFeatures.LogAll) != 0);
        if (accepted.Has(Features.AccessPlatform) != (_memory.Iotlb is not null))
            SetTranslating(_memory.Iotlb is null);
        bool negotiated = _rings.Negotiate(accepted - new FeatureSet(VhostUserFeatures.Protocol | VhostUserFeatures.LogAll)); // before any ring runs with the old ones
        return _rings.Resume() && negotiated;
    }

    private void SetTranslating(bool on)
    {
        if (on && (_protocol & VhostUserOptions.IotlbNeeds) != VhostUserOptions.IotlbNeeds)
            throw new TransportException($"SET_FEATURES accepts {Features.AccessPlatform} without the protocol features REPLY_ACK and BACKEND_REQ, which translations need");
        _rings.Pause();
        _misses.Clear();
        _memory.SetIotlb(on ? new Iotlb(IotlbMessages.MaxEntries, _misses.Ask, MemoryTable.Join) : null);
    }

    private void SetProtocolFeatures(ProtocolFeatures features)
    {
        ProtocolFeatures unoffered = features & ~_offeredProtocol;
        if (unoffered != 0)
            throw new TransportException($"SET_PROTOCOL_FEATURES accepts {unoffered}, which was not offered");
        ProtocolRules.MustHaveWhatTheyNeed(features);
        _protocol = features;
        _rings.LeavesInFlight = (features & ProtocolFeatures.GetVringBaseInflight) != 0;
        _rings.InBand = (features & ProtocolFeatures.InbandNotifications) != 0 ? (request, ring) => _channel?.Notify(request, ring) : null;
        _memoryMessages.HasGuestAddresses = (features & ProtocolFeatures.GpaAddresses) != 0;
        _recorder.ProtocolFeatures(features);
    }

    private void SetBackEndChannel()
    {
        _misses.Channel = null;
        _channel?.Dispose();
        try
        {
            _channel = new BackEndChannel(_message.TakeFd(), _loop);
            _misses.Channel = _channel;
            if (_rings.InBand is not null)
                _rings.SayAgain();
        }
        catch (LinuxException refused)
        {
            throw new TransportException($"SET_BACKEND_REQ_FD: {refused.Message}", refused);
        }
    }
}

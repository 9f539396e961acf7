using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
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
    /// <summary>VHOST_USER_F_PROTOCOL_FEATURES: this bit is between front-end and back-end, the driver never sees it.</summary>
    private const ulong ProtocolFeaturesBit = 1UL << 30;

    /// <summary>"No descriptor" in the u64 of SET_VRING_KICK, _CALL, _ERR; the ring's index is below.</summary>
    private const ulong NoFd = 1 << 8;

    private readonly UnixSocket _socket;
    private readonly DeviceHost _host;
    private readonly ILogger _log;
    private readonly MessageReader _reader;
    private readonly MemoryTable _memory = new();
    private readonly RingSet _rings;
    private readonly ProtocolFeatures _offeredProtocol;
    private readonly SessionRecorder _recorder;
    private ProtocolFeatures _protocol;
    private DeviceStatus _status;
    private BackEndChannel? _channel;

    public BackEndSession(UnixSocket socket, DeviceHost host, EventLoop loop, VhostUserOptions options, SessionRecorder recorder, ILogger log)
    {
        (_socket, _host, _recorder, _log) = (socket, host, recorder, log);
        _reader = new MessageReader(socket);
        _rings = new RingSet(host, loop, _memory, recorder, log);
        _offeredProtocol = VhostUserOptions.Implemented & ~options.Withheld;
        if (host.Traits.ConfigurationSize == 0)
            _offeredProtocol &= ~ProtocolFeatures.Config; // there is none to read, and QEMU warns of it
    }

    private FeatureSet OfferedFeatures => _host.DeviceFeatures | new FeatureSet(ProtocolFeaturesBit);

    private bool IsPacked => _rings.Features.Has(Features.RingPacked);

    /// <summary>Reads and obeys what has arrived.</summary>
    /// <returns>False when the front-end has closed the connection.</returns>
    /// <exception cref="TransportException">It broke the rules; end the session.</exception>
    public bool Receive()
    {
        // One message a turn: the loop comes back while more is there, and the rings have their turns in between.
        switch (_reader.TryRead())
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
        if ((_protocol & ProtocolFeatures.Config) != 0)
            _channel?.SendConfigChange();
    }

    /// <summary>The device gave up: whoever watches the error descriptors is told; the driver sees NEEDS_RESET in the status.</summary>
    public void SignalErrors() => _rings.SignalErrors();

    public void Dispose()
    {
        // In this order: nothing may touch guest memory once it is unmapped.
        _rings.Dispose();
        _host.Reset();
        _host.SetMemory(Core.Memory.MemoryMap.Empty);
        _memory.Dispose();
        _channel?.Dispose();
        _reader.Dispose();
        _socket.Dispose();
    }

    private void Obey()
    {
        MessageRule rule = _reader.Rule;
        bool wantsReply = (_reader.Header.Flags & MessageFlags.NeedReply) != 0 && (_protocol & ProtocolFeatures.ReplyAck) != 0;
        _recorder.Message(rule.Name);
        _log.Message(rule.Name, _reader.Header.Size, _reader.Fds.Count);
        bool done;
        try
        {
            if (_reader.Fds.Count > rule.MaxFds)
                throw new TransportException($"{rule.Name} came with {_reader.Fds.Count} file descriptors, at most {rule.MaxFds} belong there");
            if ((rule.Requires & ~_protocol) != 0)
                throw new TransportException($"{rule.Name} belongs to the protocol feature {rule.Requires}, which was not negotiated");
            done = Dispatch((FrontEndRequest)_reader.Header.Request, _reader.Payload);
        }
        catch (TransportException) when (wantsReply && !rule.HasOwnReply)
        {
            Refuse();
            throw;
        }

        if (wantsReply && !rule.HasOwnReply)
            Reply(done ? 0UL : 1UL);
    }

    /// <returns>False when the request was understood but could not be granted.</returns>
    private bool Dispatch(FrontEndRequest request, ReadOnlySpan<byte> payload)
    {
        switch (request)
        {
            case FrontEndRequest.GetFeatures:
                Reply(OfferedFeatures.Low);
                return true;
            case FrontEndRequest.SetFeatures:
                return SetFeatures(Read<ulong>(payload));
            case FrontEndRequest.SetOwner:
                return true;
            case FrontEndRequest.ResetOwner:
            case FrontEndRequest.ResetDevice:
                ResetDevice();
                return true;
            case FrontEndRequest.GetProtocolFeatures:
                Reply((ulong)_offeredProtocol);
                return true;
            case FrontEndRequest.SetProtocolFeatures:
                SetProtocolFeatures((ProtocolFeatures)Read<ulong>(payload));
                return true;
            case FrontEndRequest.GetQueueNum:
                Reply((ulong)_rings.Count);
                return true;
            case FrontEndRequest.GetMaxMemSlots:
                Reply((ulong)MemoryTable.MaxSlots);
                return true;
            case FrontEndRequest.SetMemTable:
                return SetMemoryTable(payload);
            case FrontEndRequest.AddMemReg:
                return AddMemoryRegion(Read<SingleMemoryRegion>(payload).Region);
            case FrontEndRequest.RemMemReg:
                return ReplaceMemory(_memory.Without(Read<SingleMemoryRegion>(payload).Region));
            case FrontEndRequest.SetVringNum:
                VringState num = Read<VringState>(payload);
                Ring(num.Index).SetSize(num.Num);
                return true;
            case FrontEndRequest.SetVringBase:
                VringState start = Read<VringState>(payload);
                Ring(start.Index).SetBase(start.Num, IsPacked);
                return true;
            case FrontEndRequest.SetVringAddr:
                VringAddress address = Read<VringAddress>(payload);
                return _rings.Change(Ring(address.Index), ring => ring.SetAddress(address));
            case FrontEndRequest.SetVringEnable:
                VringState enable = Read<VringState>(payload);
                return _rings.Change(Ring(enable.Index), ring => ring.SetEnabled(enable.Num != 0));
            case FrontEndRequest.SetVringKick:
                return SetKick(Read<ulong>(payload));
            case FrontEndRequest.SetVringCall:
                RingOf(Read<ulong>(payload)).SetCall(TakeEventFd(Read<ulong>(payload)));
                return true;
            case FrontEndRequest.SetVringErr:
                RingOf(Read<ulong>(payload)).SetError(TakeEventFd(Read<ulong>(payload)));
                return true;
            case FrontEndRequest.GetVringBase:
                uint stopped = Read<VringState>(payload).Index;
                Reply(new VringState(stopped, _rings.Stop(Ring(stopped)).ToVringBase(IsPacked)));
                return true;
            case FrontEndRequest.SetBackEndReqFd:
                SetBackEndChannel();
                return true;
            case FrontEndRequest.GetConfig:
                GetConfiguration(payload);
                return true;
            case FrontEndRequest.SetConfig:
                ConfigHeader header = ReadConfigHeader(payload);
                return _host.WriteConfiguration(header.Offset, payload[ConfigHeader.Bytes..]);
            case FrontEndRequest.SetStatus:
                SetStatus(Read<ulong>(payload));
                return true;
            case FrontEndRequest.GetStatus:
                Reply((ulong)(_status | (_host.Status & DeviceStatus.NeedsReset)));
                return true;
            default:
                throw new InvalidOperationException($"{request} has a rule but nobody obeys it");
        }
    }

    private bool SetFeatures(ulong value)
    {
        var accepted = new FeatureSet(value);
        FeatureSet unoffered = accepted - OfferedFeatures;
        if (!unoffered.IsEmpty)
            throw new TransportException($"SET_FEATURES accepts {unoffered}, which was not offered: the front-end passes on what the guest accepted from it. Switch the feature off on the device's command line");

        // Without the bit there is no SET_VRING_ENABLE: rings are enabled from the start.
        if ((value & ProtocolFeaturesBit) == 0)
            _rings.EnableAll();
        return _rings.Negotiate(accepted - new FeatureSet(ProtocolFeaturesBit));
    }

    private void SetProtocolFeatures(ProtocolFeatures features)
    {
        ProtocolFeatures unoffered = features & ~_offeredProtocol;
        if (unoffered != 0)
            throw new TransportException($"SET_PROTOCOL_FEATURES accepts {unoffered}, which was not offered");
        _protocol = features;
        _recorder.ProtocolFeatures(features);
    }

    private void SetStatus(ulong value)
    {
        if (value > byte.MaxValue)
            throw new TransportException($"SET_STATUS: status = 0x{value:x} is more than 8 bits");
        _status = (DeviceStatus)value;
        if (_status == DeviceStatus.Reset)
            ResetDevice();
    }

    private void ResetDevice()
    {
        _rings.Reset();
        _status = DeviceStatus.Reset;
    }

    private bool SetMemoryTable(ReadOnlySpan<byte> payload)
    {
        uint count = Read<MemoryTableHeader>(payload[..8]).Regions;
        ReadOnlySpan<MemoryRegionPayload> regions = MemoryMarshal.Cast<byte, MemoryRegionPayload>(payload[8..]);
        if (count > (uint)regions.Length)
            throw new TransportException($"SET_MEM_TABLE: {count} regions are announced, {regions.Length} fit into the message");
        if (count != (uint)_reader.Fds.Count)
            throw new TransportException($"SET_MEM_TABLE: {count} regions came with {_reader.Fds.Count} file descriptors");

        var slots = new List<MemoryTable.Slot>();
        try
        {
            for (int i = 0; i < (int)count; i++)
                slots.Add(MemoryTable.MapRegion(regions[i], _reader.Fds.Take(i)));
            return ReplaceMemory(slots);
        }
        catch (TransportException)
        {
            slots.ForEach(slot => slot.Mapping.Dispose());
            throw;
        }
    }

    private bool AddMemoryRegion(MemoryRegionPayload region)
    {
        MemoryTable.Slot slot = MemoryTable.MapRegion(region, TakeFd());
        try
        {
            return ReplaceMemory(_memory.With(slot));
        }
        catch (TransportException)
        {
            slot.Mapping.Dispose();
            throw;
        }
    }

    /// <returns>False when a ring should run now but cannot.</returns>
    private bool ReplaceMemory(List<MemoryTable.Slot> slots)
    {
        _memory.Replace(slots, _host.SetMemory);
        _recorder.MemoryRegions(_memory.Count);
        if (!_memory.IsSealed && _recorder.Fault("MemoryNotSealed"))
            _log.MemoryNotSealed();
        return _rings.RunAll();
    }

    private bool SetKick(ulong value)
    {
        Vring ring = RingOf(value);
        EventFd kick = TakeEventFd(value)
            ?? throw new TransportException("SET_VRING_KICK without a descriptor asks for polling, which is not implemented here");
        return _rings.Start(ring, kick);
    }

    private void SetBackEndChannel()
    {
        _channel?.Dispose();
        try
        {
            _channel = new BackEndChannel(TakeFd());
        }
        catch (LinuxException refused)
        {
            throw new TransportException($"SET_BACKEND_REQ_FD: {refused.Message}", refused);
        }
    }

    private void GetConfiguration(ReadOnlySpan<byte> payload)
    {
        ConfigHeader header = ReadConfigHeader(payload);
        Span<byte> reply = stackalloc byte[MessageRule.MaxPayload];
        reply = reply[..payload.Length];
        payload[..ConfigHeader.Bytes].CopyTo(reply);
        _host.ReadConfiguration(header.Offset, reply[ConfigHeader.Bytes..]);
        Send(reply);
    }

    private static ConfigHeader ReadConfigHeader(ReadOnlySpan<byte> payload)
    {
        var header = MemoryMarshal.Read<ConfigHeader>(payload);
        return header.Size == payload.Length - ConfigHeader.Bytes
            ? header
            : throw new TransportException($"configuration size = {header.Size}, but the message carries {payload.Length - ConfigHeader.Bytes} bytes");
    }

    private Vring Ring(uint index) => index < (uint)_rings.Count
        ? _rings[(int)index]
        : throw new TransportException($"{_reader.Rule.Name}: ring {index} does not exist, the device has {_rings.Count}");

    private Vring RingOf(ulong value) => Ring((uint)(value & 0xFF));

    private FileDescriptor TakeFd() => _reader.Fds.Count == 1
        ? _reader.Fds.Take(0)
        : throw new TransportException($"{_reader.Rule.Name} came without its file descriptor");

    private EventFd? TakeEventFd(ulong value)
    {
        if ((value & NoFd) != 0)
            return _reader.Fds.Count == 0 ? null : throw new TransportException($"{_reader.Rule.Name} says it has no file descriptor, but came with one");
        try
        {
            return EventFd.Adopt(TakeFd());
        }
        catch (LinuxException refused)
        {
            throw new TransportException($"{_reader.Rule.Name}: {refused.Message}", refused);
        }
    }

    private static T Read<T>(ReadOnlySpan<byte> payload)
        where T : unmanaged => MemoryMarshal.Read<T>(payload);

    private void Reply<T>(T payload)
        where T : unmanaged => Send(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)));

    /// <summary>Says no before the session ends. Why it ends is told also when nobody reads this any more.</summary>
    private void Refuse()
    {
        try
        {
            Reply(1UL);
        }
        catch (Exception unread) when (unread is TransportException or LinuxException)
        {
        }
    }

    private void Send(ReadOnlySpan<byte> payload)
    {
        Span<byte> message = stackalloc byte[MessageHeader.Bytes + MessageRule.MaxPayload];
        message = message[..(MessageHeader.Bytes + payload.Length)];
        var header = new MessageHeader(_reader.Header.Request, MessageFlags.Version1 | MessageFlags.Reply, (uint)payload.Length);
        MemoryMarshal.Write(message, in header);
        payload.CopyTo(message[MessageHeader.Bytes..]);

        // A reply always fits into the socket's buffer, unless the peer leaves hundreds unread.
        int sent = _socket.SendWithFds(message, []);
        if (sent != message.Length)
            throw new TransportException("the front-end does not read its replies");
    }
}

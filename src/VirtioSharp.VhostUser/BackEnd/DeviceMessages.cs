using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Obeys the messages about the device as a whole: configuration space, status, reset.</summary>
internal sealed class DeviceMessages(IncomingMessage message, DeviceHost host, RingSet rings)
{
    private DeviceStatus _status;

    /// <returns>Whether it could be granted; null when the message is none of these.</returns>
    public bool? Obey()
    {
        switch (message.Request)
        {
            case FrontEndRequest.ResetOwner:
            case FrontEndRequest.ResetDevice:
                rings.Reset();
                _status = DeviceStatus.Reset;
                return true;
            case FrontEndRequest.GetConfig:
                GetConfiguration(message.Payload);
                return true;
            case FrontEndRequest.SetConfig:
                return SetConfiguration(message.Payload);
            case FrontEndRequest.SetStatus:
                SetStatus(message.Read<ulong>());
                return true;
            case FrontEndRequest.GetStatus:
                message.Reply((ulong)(_status | (host.Status & DeviceStatus.NeedsReset)));
                return true;
            default:
                return null;
        }
    }

    private void SetStatus(ulong value)
    {
        if (value > byte.MaxValue)
            throw new TransportException($"SET_STATUS: status = 0x{value:x} is more than 8 bits");
        _status = (DeviceStatus)value;
        if (_status == DeviceStatus.Reset)
            rings.StopAll();
    }

    private void GetConfiguration(ReadOnlySpan<byte> payload)
    {
        ConfigHeader header = ReadConfigHeader(payload);
        Span<byte> reply = stackalloc byte[MessageRule.MaxPayload];
        reply = reply[..payload.Length];
        payload[..ConfigHeader.Bytes].CopyTo(reply);
        host.ReadConfiguration(header.Offset, reply[ConfigHeader.Bytes..]);
        message.Reply(reply);
    }

    /// <summary>A front-end that migrates a machine may write what is read-only to a driver: what its device has here stays as it is.</summary>
    private bool SetConfiguration(ReadOnlySpan<byte> payload)
    {
        ConfigHeader header = ReadConfigHeader(payload);
        if (header.Flags is not (ConfigHeader.Writable or ConfigHeader.Migration))
            return false;
        bool isThere = (ulong)header.Offset + header.Size <= (ulong)host.Traits.ConfigurationSize;
        return host.WriteConfiguration(header.Offset, payload[ConfigHeader.Bytes..]) || (isThere && header.Flags == ConfigHeader.Migration);
    }

    private static ConfigHeader ReadConfigHeader(ReadOnlySpan<byte> payload)
    {
        var header = MemoryMarshal.Read<ConfigHeader>(payload);
        return header.Size == payload.Length - ConfigHeader.Bytes
            ? header
            : throw new TransportException($"configuration size = {header.Size}, but the message carries {payload.Length - ConfigHeader.Bytes} bytes");
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>GET_CONFIG and SET_CONFIG.</summary>
internal static class ConfigurationSpace
{
    /// <summary>Reads it from its start: some back-ends know no other.</summary>
    /// <param name="channel">The way there.</param>
    /// <param name="device">Tells which sizes are worth trying when the back-end does not answer for fewer bytes than all.</param>
    /// <param name="length">How far, at the least.</param>
    /// <exception cref="VhostUserException">The back-end refuses, or fails.</exception>
    public static byte[] Read(FrontEndChannel channel, DeviceId device, int length)
    {
        if (TryRead(channel, length) is { } asAsked)
            return asAsked;
        foreach (int size in DeviceShape.ConfigurationSizes(device))
            if (size > length && TryRead(channel, size) is { } whole)
                return whole;
        throw new VhostUserException(VhostUserFailure.Refused, FrontEndRequest.GetConfig, $"the back-end refused GET_CONFIG: it has no {length} bytes of configuration space");
    }

    /// <summary>As much as the back-end answers for, which is all there is, or all that the protocol reaches.</summary>
    public static byte[] ReadAll(FrontEndChannel channel, DeviceId device)
    {
        ReadOnlySpan<int> sizes = DeviceShape.ConfigurationSizes(device);
        for (int i = sizes.Length - 1; i >= 0; i--)
            if (TryRead(channel, sizes[i]) is { } whole)
                return whole;

        byte[] longest = [];
        for (int refused = MessageRule.MaxConfigBytes + 1; refused - longest.Length > 1;)
        {
            int length = longest.Length == 0 && refused > MessageRule.MaxConfigBytes ? MessageRule.MaxConfigBytes : (longest.Length + refused) / 2;
            if (TryRead(channel, length) is { } more)
                longest = more;
            else
                refused = length;
        }

        return longest;
    }

    /// <returns>Null when the back-end refuses: an answer without bytes.</returns>
    public static byte[]? TryRead(FrontEndChannel channel, int length)
    {
        byte[] request = Message(0, length);
        ReadOnlySpan<byte> answer = channel.Ask(FrontEndRequest.GetConfig, request, maxFds: 0, request.Length, ConfigHeader.Bytes, 0);
        if (answer.IsEmpty)
            return null;
        var header = MemoryMarshal.Read<ConfigHeader>(answer);
        if (header.Size == 0)
            return null;
        if (header.Offset != 0 || header.Size != length || answer.Length != request.Length)
            throw channel.Distrust(FrontEndRequest.GetConfig, $"GET_CONFIG: {header.Size} bytes at {header.Offset} in an answer of {answer.Length - ConfigHeader.Bytes}, where {length} at 0 were asked for");
        return answer[ConfigHeader.Bytes..].ToArray();
    }

    /// <summary>Writes to it, as a driver does.</summary>
    public static void Write(FrontEndChannel channel, uint offset, ReadOnlySpan<byte> source)
    {
        byte[] request = Message(offset, source.Length);
        source.CopyTo(request.AsSpan(ConfigHeader.Bytes));
        channel.Send(FrontEndRequest.SetConfig, request);
    }

    private static byte[] Message(uint offset, int length)
    {
        byte[] message = new byte[ConfigHeader.Bytes + length];
        MemoryMarshal.Write(message, new ConfigHeader(offset, (uint)length, flags: 0));
        return message;
    }
}

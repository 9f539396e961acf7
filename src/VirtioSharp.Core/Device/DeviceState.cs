using System.Buffers;
using System.Buffers.Binary;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>A device's state as it goes from one host to another: what kind of device, and what that device says (little-endian).</summary>
/// <remarks>
/// <code>
///  0       4         6          8        12
///  +-------+---------+----------+--------+------------------------+
///  | magic | version | device   | length | the device's own state |
///  |       |  = 1    | id (§5)  |        | length bytes, then end |
///  +-------+---------+----------+--------+------------------------+
/// </code>
/// </remarks>
public static class DeviceState
{
    /// <summary>Most bytes of a device's own state.</summary>
    public const int MaxBytes = 64 * 1024;

    /// <summary>Most bytes in all.</summary>
    public const int MaxTotalBytes = HeaderBytes + MaxBytes;

    private const int HeaderBytes = 12;
    private const uint Magic = 0x23744476; // "vDt#"
    private const ushort Version = 1;

    /// <summary>Writes a device's state.</summary>
    /// <exception cref="InvalidOperationException">The device has more than it may.</exception>
    internal static byte[] Save(VirtioDevice device)
    {
        var own = new ArrayBufferWriter<byte>();
        device.SaveState(own);
        if (own.WrittenCount > MaxBytes)
            throw new InvalidOperationException($"the device has {own.WrittenCount} bytes of state, {MaxBytes} at the most are sent");
        byte[] state = new byte[HeaderBytes + own.WrittenCount];
        BinaryPrimitives.WriteUInt32LittleEndian(state, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(state.AsSpan(4), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(state.AsSpan(6), (ushort)device.Traits.Id);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(8), own.WrittenCount);
        own.WrittenSpan.CopyTo(state.AsSpan(HeaderBytes));
        return state;
    }

    /// <summary>Has a device take over a state.</summary>
    /// <exception cref="FormatException">It is none, or of another device: the message names the field. Nothing has changed.</exception>
    internal static void Load(VirtioDevice device, ReadOnlySpan<byte> state)
    {
        if (state.Length < HeaderBytes)
            throw new FormatException($"the state has {state.Length} bytes, its header has {HeaderBytes}");
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(state);
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(state[4..]), id = BinaryPrimitives.ReadUInt16LittleEndian(state[6..]);
        int length = BinaryPrimitives.ReadInt32LittleEndian(state[8..]);
        if (magic != Magic)
            throw new FormatException($"magic = 0x{magic:x8}: not a device's state");
        if (version != Version)
            throw new FormatException($"version = {version} of the state, {Version} is known");
        if (id != (ushort)device.Traits.Id)
            throw new FormatException($"the state is of device {(DeviceId)id}, and this is {device.Traits.Id}");
        if (length != state.Length - HeaderBytes)
            throw new FormatException($"length = {length} of the state, {state.Length - HeaderBytes} bytes follow");
        device.LoadState(state[HeaderBytes..]);
    }
}

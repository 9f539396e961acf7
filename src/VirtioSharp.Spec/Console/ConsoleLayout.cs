using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Console;

/// <summary>Which of the console's queues is whose (§5.3.2).</summary>
public static class ConsoleLayout
{
    /// <summary>Control messages from the device.</summary>
    public const int ControlReceiveQueue = 2;
    /// <summary>Control messages to the device.</summary>
    public const int ControlTransmitQueue = 3;

    /// <summary>What comes from the device to a port: 0, 4, 6, 8, …</summary>
    public static int ReceiveQueue(int port) => port == 0 ? 0 : 2 * port + 2;

    /// <summary>What a port sends to the device: 1, 5, 7, 9, …</summary>
    public static int TransmitQueue(int port) => ReceiveQueue(port) + 1;
}

/// <summary>Configuration space of the console, <c>struct virtio_console_config</c>, 12 bytes (§5.3.4).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct ConsoleConfiguration
{
    /// <summary>Bytes.</summary>
    public const int Size = 12;
    /// <summary>Where cols lies; rows is behind it.</summary>
    public const int WindowSizeOffset = 0;
    /// <summary>Where max_nr_ports lies.</summary>
    public const int MaxPortsOffset = 4;
    /// <summary>Where emerg_wr lies; the driver writes it.</summary>
    public const int EmergencyWriteOffset = 8;

    /// <summary>SIZE: of port 0.</summary>
    public ConsoleSize WindowSize { get; init; }
    /// <summary>MULTIPORT: port numbers are below this.</summary>
    public Le32 MaxPorts { get; init; }
    /// <summary>EMERG_WRITE: a character to put out at once.</summary>
    public Le32 EmergencyWrite { get; init; }
}

/// <summary>Columns and rows; in configuration space, and behind a RESIZE message (§5.3.6.2).</summary>
/// <param name="columns">Columns.</param>
/// <param name="rows">Rows.</param>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct ConsoleSize(ushort columns, ushort rows) : IEquatable<ConsoleSize>
{
    /// <summary>Bytes.</summary>
    public const int Size = 4;

    private readonly Le16 _columns = columns;
    private readonly Le16 _rows = rows;

    /// <summary>Columns.</summary>
    public ushort Columns => _columns;

    /// <summary>Rows.</summary>
    public ushort Rows => _rows;

    /// <summary>Whether both are the same.</summary>
    public static bool operator ==(ConsoleSize left, ConsoleSize right) => left.Equals(right);

    /// <summary>Whether they differ.</summary>
    public static bool operator !=(ConsoleSize left, ConsoleSize right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(ConsoleSize other) => _columns == other._columns && _rows == other._rows;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is ConsoleSize other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_columns, _rows);

    /// <summary><c>80×25</c>.</summary>
    public override string ToString() => $"{_columns}×{_rows}";
}

/// <summary>A message of the control queues, <c>id:32 event:16 value:16</c> (§5.3.6.2). A size or a name may follow.</summary>
/// <param name="port">The port's number.</param>
/// <param name="kind">What happened.</param>
/// <param name="value">1 or 0, where it means something.</param>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct ConsoleControl(uint port, ConsoleEvent kind, ushort value)
{
    /// <summary>Bytes.</summary>
    public const int Size = 8;

    private readonly Le32 _port = port;
    private readonly Le16 _event = (ushort)kind;
    private readonly Le16 _value = value;

    /// <summary>The port's number.</summary>
    public uint Port => _port;

    /// <summary>What happened.</summary>
    public ConsoleEvent Event => (ConsoleEvent)(ushort)_event;

    /// <summary>1 or 0, where it means something.</summary>
    public ushort Value => _value;
}

/// <summary>What a control message says (§5.3.6.2).</summary>
public enum ConsoleEvent : ushort
{
    /// <summary>Driver: ready for control messages (1), or not (0).</summary>
    DeviceReady = 0,
    /// <summary>Device: there is a new port.</summary>
    DeviceAdd = 1,
    /// <summary>Device: a port is gone.</summary>
    DeviceRemove = 2,
    /// <summary>Driver: the new port is ready (1), or not (0).</summary>
    PortReady = 3,
    /// <summary>Device: the port is a console. To be answered by <see cref="PortOpen"/> with 1.</summary>
    ConsolePort = 4,
    /// <summary>Device: the console has a new size, which follows.</summary>
    Resize = 5,
    /// <summary>Both: the port was opened (1) or closed (0).</summary>
    PortOpen = 6,
    /// <summary>Device: the port's name follows, UTF-8 without a NUL.</summary>
    PortName = 7,
}

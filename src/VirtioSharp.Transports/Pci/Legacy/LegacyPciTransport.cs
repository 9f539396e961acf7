using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Spec.Split;
using Register = VirtioSharp.Spec.Pci.LegacyPciRegister;

namespace VirtioSharp.Transports.Pci.Legacy;

/// <summary>The driver's half of the legacy interface (§4.1.4.10): registers in I/O space behind BAR 0.</summary>
public sealed class LegacyPciTransport : VirtioPciTransport
{
    /// <summary>No legacy device has more; one that says it has is not asked further.</summary>
    private const int MaxQueues = 1024;

    /// <summary>How often a field is read until it stands still.</summary>
    private const int MaxConfigurationReads = 16;

    private readonly IRegisterWindow _registers;
    private int _queueCount = -1;

    /// <summary>Finds the registers. The device itself is left as it is.</summary>
    /// <param name="function">A transitional virtio function; disposed with this.</param>
    /// <exception cref="TransportException">It is none, or has no registers in I/O space.</exception>
    public LegacyPciTransport(IPciFunction function)
        : base(function)
    {
        if (!Identity.IsTransitional)
            throw new TransportException($"{function.Name}: device id = 0x{Identity.DeviceId:x4}: only 0x{VirtioPci.FirstTransitionalDeviceId:x4}–0x{VirtioPci.LastTransitionalDeviceId:x4} have a legacy interface");
        uint bar = function.ReadConfiguration(PciConfigurationRegister.Bar0, 4);
        _registers = (bar & 1) != 0 && function.OpenBar(0) is { } window ? window
            : throw new TransportException($"{function.Name}: BAR 0 = 0x{bar:x8}: the legacy interface is in I/O space");
        if (_registers.Length < Register.DeviceConfiguration)
            throw new TransportException($"{function.Name}: BAR 0 has {_registers.Length} bytes, the legacy registers {Register.DeviceConfiguration}");
    }

    /// <summary>There is no register for it: it is the number of queues up to the first whose size is 0.</summary>
    public override int QueueCount
    {
        get
        {
            if (_queueCount >= 0)
                return _queueCount;
            int count = 0;
            while (count < MaxQueues && ReadMaxQueueSize(count) != 0)
                count++;
            return _queueCount = count;
        }
    }

    /// <inheritdoc/>
    public override int LegacyAlignment => Register.PageBytes;

    private int ConfigurationStart => IsMsixEnabled ? Register.DeviceConfigurationWithMsix : Register.DeviceConfiguration;

    /// <summary>The 32 that a legacy interface can show.</summary>
    public override FeatureSet ReadDeviceFeatures() => new(Read(Register.DeviceFeatures, 4));

    /// <inheritdoc/>
    /// <exception cref="TransportException">A feature is beyond the 32 that can be accepted.</exception>
    public override void WriteDriverFeatures(FeatureSet features)
    {
        if (!new FeatureSet(uint.MaxValue).Has(features))
            throw new TransportException($"{Function.Name}: the features {features} do not fit into the 32 bits of the legacy interface");
        Write(Register.DriverFeatures, 4, features.Word(0));
    }

    /// <inheritdoc/>
    public override DeviceStatus ReadStatus()
    {
        uint status = Read(Register.DeviceStatus, 1);
        if (status == 0xFF)
            throw new TransportException($"{Function.Name}: device status reads 0xff: the device has been unplugged");
        return (DeviceStatus)status;
    }

    /// <inheritdoc/>
    public override void WriteStatus(DeviceStatus status) => Write(Register.DeviceStatus, 1, (uint)status);

    /// <summary>Reads device configuration byte by byte, as legacy drivers do, and a field as often as it takes to read the same
    /// twice: there is no generation (§2.5.5).</summary>
    /// <exception cref="TransportException">Out of bounds, or it does not stand still.</exception>
    public override void ReadConfiguration(uint offset, Span<byte> destination)
    {
        CheckConfiguration(offset, destination.Length);
        ReadBytes(offset, destination);
        if (destination.Length <= 1)
            return;
        Span<byte> again = destination.Length <= 256 ? stackalloc byte[destination.Length] : new byte[destination.Length];
        for (int read = 1; read < MaxConfigurationReads; read++)
        {
            ReadBytes(offset, again);
            if (again.SequenceEqual(destination))
                return;
            again.CopyTo(destination);
        }

        throw new TransportException($"{Function.Name}: {destination.Length} bytes of configuration at {offset} were never the same twice in {MaxConfigurationReads} reads");
    }

    /// <inheritdoc/>
    public override void WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
        CheckConfiguration(offset, source.Length);
        for (int i = 0; i < source.Length; i++)
            _registers.Write((ulong)ConfigurationStart + offset + (uint)i, 1, source[i]);
    }

    /// <summary>Always 0: <see cref="ReadConfiguration"/> sees to it.</summary>
    public override uint ReadConfigurationGeneration() => 0;

    /// <inheritdoc/>
    /// <exception cref="QueueException">The size is none that a split queue can have, and it cannot be changed.</exception>
    public override int ReadMaxQueueSize(int index)
    {
        if (index is < 0 or > ushort.MaxValue)
            return 0;
        int size = SelectAndReadSize(index);
        return size == 0 || SplitLayout.IsValidSize(size) ? size
            : throw Refused(index, $"queue_size = {size} is not a power of two up to {SplitLayout.MaxQueueSize}");
    }

    /// <inheritdoc/>
    public override void EnableQueue(int index, in QueueLayout layout)
    {
        int size = ReadMaxQueueSize(index); // also selects it
        if (size == 0)
            throw Refused(index, "queue_size = 0: it does not exist");
        if (layout.Size != size)
            throw Refused(index, $"{layout.Size} entries are wanted, it has exactly {size}");
        LegacyLayout expected = LegacyLayout.Of(size, Register.PageBytes);
        ulong start = layout.DescriptorArea.Value;
        // §2.7.2: in one piece, for only its start is told.
        if (layout.DriverArea.Value - start != (ulong)expected.DriverAreaOffset || layout.DeviceArea.Value - start != (ulong)expected.DeviceAreaOffset)
            throw Refused(index, $"driver area = {layout.DriverArea}, device area = {layout.DeviceArea} are not where a legacy queue at {layout.DescriptorArea} has them");
        if (start % Register.PageBytes != 0 || start / Register.PageBytes is 0 or > uint.MaxValue)
            throw Refused(index, $"descriptor area = {layout.DescriptorArea} is no page that the queue address can name");
        uint before = Read(Register.QueuePage, 4);
        if (before != 0)
            throw Refused(index, $"queue address = 0x{before:x}: it is enabled already");

        MapVectorOf(index);
        uint page = (uint)(start / Register.PageBytes);
        Write(Register.QueuePage, 4, page);
        uint accepted = Read(Register.QueuePage, 4);
        if (accepted != page)
            throw Refused(index, $"queue address = 0x{accepted:x} after 0x{page:x} was written");
    }

    /// <summary>Not possible: RING_RESET is bit 40.</summary>
    /// <exception cref="TransportException">Always.</exception>
    public override void ResetQueue(int index) => throw new TransportException($"{Function.Name}: queue {index} cannot be reset: the legacy interface has no such register");

    /// <inheritdoc/>
    public override void Notify(QueueNotification notification) => _registers.Write(Register.QueueNotify, 2, notification.Queue);

    private protected override ushort MapConfigurationVector(ushort vector)
    {
        Write(Register.ConfigurationVector, 2, vector);
        return (ushort)Read(Register.ConfigurationVector, 2);
    }

    private protected override ushort MapQueueVector(int queue, ushort vector)
    {
        Write(Register.QueueSelect, 2, (uint)queue);
        Write(Register.QueueVector, 2, vector);
        return (ushort)Read(Register.QueueVector, 2);
    }

    private protected override bool HasQueue(int queue) => queue <= ushort.MaxValue && SelectAndReadSize(queue) != 0;

    private protected override byte ReadInterruptStatus() => (byte)Read(Register.InterruptStatus, 1);

    private int SelectAndReadSize(int queue)
    {
        Write(Register.QueueSelect, 2, (uint)queue);
        return (int)Read(Register.QueueSize, 2);
    }

    private uint Read(int register, int width)
    {
        uint value = _registers.Read((ulong)register, width);
        if (value == uint.MaxValue >> (32 - 8 * width))
            Function.ThrowIfUnplugged("a legacy register");
        return value;
    }

    private void Write(int register, int width, uint value) => _registers.Write((ulong)register, width, value);

    private void ReadBytes(uint offset, Span<byte> destination)
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = (byte)_registers.Read((ulong)ConfigurationStart + offset + (uint)i, 1);
    }

    private void CheckConfiguration(uint offset, int length)
    {
        ulong room = _registers.Length - Math.Min(_registers.Length, (ulong)ConfigurationStart);
        if ((ulong)offset + (uint)length > room)
            throw new TransportException($"{Function.Name}: {length} bytes at {offset} are wanted, device configuration has {room}");
    }

    private QueueException Refused(int index, string why) => new($"{Function.Name}: queue {index}: {why}");
}

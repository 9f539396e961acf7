using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using Register = VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Support;

/// <summary>The registers of a modern device, well-behaved until a test scripts otherwise. It has no rings.</summary>
/// <remarks>BAR 4: common at 0, ISR at 0x1000, device configuration at 0x2000, notifications at 0x3000; BAR 1: MSI-X.</remarks>
internal sealed class ScriptedDevice
{
    public const int InterruptStatusAt = 0x1000, DeviceAt = 0x2000, NotifyAt = 0x3000;

    private readonly Dictionary<(int Queue, int Register), uint> _queueRegisters = [];
    private FeatureSet _accepted;
    private uint _deviceSelect, _driverSelect, _queue;
    private byte _status;

    public ScriptedDevice(
        ushort device = 0x1044, ushort subsystem = 4, byte revision = 1, int vectors = 4, uint commonLength = Register.Size,
        uint deviceLength = 64, uint notifyLength = 0x1000, uint multiplier = 4, bool capabilities = true, bool bars = true)
    {
        Function = new FakePciFunction(device: device, subsystem: subsystem, revision: revision);
        Registers = Function.AddBar(4, 0x4000, wide: true);
        Registers.OnRead = Read;
        Registers.OnWrite = Write;
        Table = Function.AddBar(1, 0x1000);
        if (!capabilities)
            return;
        Function.AddVirtioCapability(VirtioPciCapabilityType.CommonConfiguration, 4, 0, commonLength);
        Function.AddVirtioCapability(VirtioPciCapabilityType.InterruptStatus, 4, InterruptStatusAt, 1);
        if (deviceLength > 0)
            Function.AddVirtioCapability(VirtioPciCapabilityType.DeviceConfiguration, 4, DeviceAt, deviceLength);
        Function.AddVirtioCapability(VirtioPciCapabilityType.Notification, 4, NotifyAt, notifyLength, 0,
            (byte)multiplier, (byte)(multiplier >> 8), (byte)(multiplier >> 16), (byte)(multiplier >> 24));
        AddConfigurationAccess();
        if (vectors > 0)
            AddMsix(vectors);
        if (!bars)
            Array.Clear(Function.Bars);
    }

    public FakePciFunction Function { get; }

    public FakeWindow Registers { get; }

    public FakeWindow Table { get; }

    public int MsixAt { get; private set; }

    public FeatureSet Offered { get; set; } = Features.Version1;

    public FeatureSet Accepted => _accepted;

    public List<uint> QueueSizes { get; set; } = [256, 64];

    public Func<uint, uint> NotifyOffset { get; set; } = queue => queue;

    public Func<uint, bool> RefusesVector { get; set; } = _ => false;

    public bool RefusesFeatures { get; set; }

    public bool NeverResets { get; set; }

    public bool NeverEnables { get; set; }

    public bool NeverResetsQueues { get; set; }

    public uint? AcceptedQueueSize { get; set; }

    public uint ConfigurationVector { get; private set; } = VirtioPci.NoVector;

    public List<(int Offset, int Width, uint Value)> Doorbells { get; } = [];

    public uint QueueRegister(int queue, int register) => _queueRegisters.GetValueOrDefault((queue, register), Default(queue, register));

    public bool IsMsixEnabled => (Function.Get(MsixAt + MsixLayout.ControlOffset, 2) & MsixLayout.Enable) != 0;

    /// <summary>Raises the line, as an interrupt without MSI-X does.</summary>
    public void RaiseLine(InterruptStatus status)
    {
        Registers.Set(InterruptStatusAt, 1, Registers.Get(InterruptStatusAt, 1) | (uint)status);
        Function.Wires.IsLineRaised = true;
    }

    private void AddMsix(int vectors)
    {
        MsixAt = Function.AddCapability(PciCapabilityId.MsiX, (byte)(vectors - 1), (byte)((vectors - 1) >> 8), 1, 0, 0, 0, 1, 8, 0, 0);
        Function.Writable[MsixAt + MsixLayout.ControlOffset + 1] = 0xC0;
    }

    // §4.1.4.9
    private void AddConfigurationAccess()
    {
        int at = Function.AddVirtioCapability(VirtioPciCapabilityType.PciConfigurationAccess, 0, 0, 0, 0, 0, 0, 0, 0);
        Function.Writable.AsSpan(at + VirtioPciCapabilityLayout.Bar, 1).Fill(0xFF);
        Function.Writable.AsSpan(at + VirtioPciCapabilityLayout.Offset, 12).Fill(0xFF);
        FakeWindow registers = Registers;
        (int, int)? Aimed(int offset) => offset == at + VirtioPciCapabilityLayout.WindowData && Function.Get(at + VirtioPciCapabilityLayout.Bar, 1) == 4
            ? ((int)Function.Get(at + VirtioPciCapabilityLayout.Offset, 4), (int)Function.Get(at + VirtioPciCapabilityLayout.AreaLength, 4)) : null;
        Function.OnConfigurationRead = (offset, _) => Aimed(offset) is var (where, width) ? registers.Read((ulong)where, width) : null;
        Function.OnConfigurationWrite = (offset, _, value) =>
        {
            if (Aimed(offset) is var (where, width))
                registers.Write((ulong)where, width, value);
        };
    }

    private uint? Read(int offset, int width)
    {
        switch (offset)
        {
            case Register.DeviceFeature:
                return Offered.Word(_deviceSelect);
            case Register.ConfigurationVector:
                return ConfigurationVector;
            case Register.QueueCount:
                return (uint)QueueSizes.Count;
            case Register.DeviceStatus:
                return _status;
            case >= Register.QueueSize and < Register.AdminQueueIndex:
                return QueueRegister((int)_queue, offset);
            case InterruptStatusAt:
                uint status = Registers.Get(InterruptStatusAt, 1);
                Registers.Set(InterruptStatusAt, 1, 0);
                Function.Wires.IsLineRaised = false;
                return status;
            default:
                return null;
        }
    }

    private bool Write(int offset, int width, uint value)
    {
        switch (offset)
        {
            case Register.DeviceFeatureSelect:
                _deviceSelect = value;
                break;
            case Register.DriverFeatureSelect:
                _driverSelect = value;
                break;
            case Register.DriverFeature:
                _accepted = _accepted.WithWord(_driverSelect, value);
                break;
            case Register.ConfigurationVector:
                ConfigurationVector = RefusesVector(value) ? VirtioPci.NoVector : value;
                break;
            case Register.DeviceStatus:
                WriteStatus((byte)value);
                break;
            case Register.QueueSelect:
                _queue = value;
                break;
            case >= Register.QueueSize and < Register.AdminQueueIndex:
                WriteQueue((int)_queue, offset, value);
                break;
            case >= NotifyAt:
                Doorbells.Add((offset - NotifyAt, width, value));
                break;
            default:
                return false;
        }

        return true;
    }

    private void WriteStatus(byte value)
    {
        if (value == 0 && !NeverResets)
        {
            (_status, _accepted, ConfigurationVector) = (0, default, VirtioPci.NoVector);
            _queueRegisters.Clear();
        }
        else
        {
            _status |= RefusesFeatures ? (byte)(value & ~(int)DeviceStatus.FeaturesOk) : value;
        }
    }

    private void WriteQueue(int queue, int register, uint value)
    {
        _queueRegisters[(queue, register)] = register switch
        {
            Register.QueueVector when RefusesVector(value) => VirtioPci.NoVector,
            Register.QueueEnable when NeverEnables => 0,
            Register.QueueSize when AcceptedQueueSize is { } other => other,
            _ => value,
        };
        if (register == Register.QueueReset && value == 1 && !NeverResetsQueues)
            foreach ((int Queue, int Register) key in _queueRegisters.Keys.Where(key => key.Queue == queue).ToArray())
                _queueRegisters.Remove(key);
    }

    private uint Default(int queue, int register) => register switch
    {
        Register.QueueSize => queue < QueueSizes.Count ? QueueSizes[queue] : 0,
        Register.QueueVector => VirtioPci.NoVector,
        Register.QueueNotifyOffset => NotifyOffset((uint)queue),
        Register.QueueNotifyData => 0x80u + (uint)queue,
        _ => 0,
    };
}

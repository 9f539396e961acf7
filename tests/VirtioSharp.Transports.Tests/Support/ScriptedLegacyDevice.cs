using VirtioSharp.Spec.Pci;
using Register = VirtioSharp.Spec.Pci.LegacyPciRegister;

namespace VirtioSharp.Transports.Tests.Support;

/// <summary>The I/O registers of a legacy device, well-behaved until a test scripts otherwise. It has no rings.</summary>
internal sealed class ScriptedLegacyDevice
{
    private readonly Dictionary<(uint Queue, int Register), uint> _queueRegisters = [];
    private uint _queue;

    public ScriptedLegacyDevice(ushort device = 0x1005, ushort subsystem = 4, int vectors = 4, ulong length = 64, bool io = true)
    {
        Function = new FakePciFunction(device: device, subsystem: subsystem, revision: 0);
        Registers = Function.AddBar(0, length, io: io);
        Registers.OnRead = Read;
        Registers.OnWrite = Write;
        _ = Function.AddBar(1, 0x1000);
        if (vectors == 0)
            return;
        MsixAt = Function.AddCapability(PciCapabilityId.MsiX, (byte)(vectors - 1), 0, 1, 0, 0, 0, 1, 8, 0, 0);
        Function.Writable[MsixAt + MsixLayout.ControlOffset + 1] = 0xC0;
    }

    public FakePciFunction Function { get; }

    public FakeWindow Registers { get; }

    public int MsixAt { get; }

    public Func<uint, uint> QueueSize { get; set; } = queue => queue < 2 ? 256u : 0;

    public Func<uint, bool> RefusesVector { get; set; } = _ => false;

    public bool ForgetsPages { get; set; }

    /// <summary>What device configuration reads as, by offset.</summary>
    public Func<int, byte> Configuration { get; set; } = offset => (byte)(offset + 1);

    public uint ConfigurationVector { get; private set; } = VirtioPci.NoVector;

    public uint QueueRegister(uint queue, int register) =>
        _queueRegisters.GetValueOrDefault((queue, register), register == Register.QueueVector ? VirtioPci.NoVector : 0u);

    private bool IsMsixEnabled => MsixAt != 0 && (Function.Get(MsixAt + MsixLayout.ControlOffset, 2) & MsixLayout.Enable) != 0;

    private int ConfigurationAt => IsMsixEnabled ? Register.DeviceConfigurationWithMsix : Register.DeviceConfiguration;

    private uint? Read(int offset, int width)
    {
        if (offset >= ConfigurationAt)
            return Configuration(offset - ConfigurationAt);
        switch (offset)
        {
            case Register.QueueSize:
                return QueueSize(_queue);
            case Register.QueuePage:
                return QueueRegister(_queue, offset);
            case Register.ConfigurationVector:
                return ConfigurationVector;
            case Register.QueueVector:
                return QueueRegister(_queue, offset);
            case Register.InterruptStatus:
                uint status = Registers.Get(offset, 1);
                Registers.Set(offset, 1, 0);
                Function.Wires.IsLineRaised = false;
                return status;
            default:
                return null;
        }
    }

    private bool Write(int offset, int width, uint value)
    {
        if (offset >= ConfigurationAt)
            return false;
        switch (offset)
        {
            case Register.QueueSelect:
                _queue = value;
                break;
            case Register.QueuePage:
                _queueRegisters[(_queue, offset)] = ForgetsPages ? 0 : value;
                break;
            case Register.ConfigurationVector:
                ConfigurationVector = RefusesVector(value) ? VirtioPci.NoVector : value;
                break;
            case Register.QueueVector:
                _queueRegisters[(_queue, offset)] = RefusesVector(value) ? VirtioPci.NoVector : value;
                break;
            case Register.DeviceStatus when value == 0:
                _queueRegisters.Clear();
                ConfigurationVector = VirtioPci.NoVector;
                return false;
            default:
                return false;
        }

        return true;
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Spec;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A device's host against a driver that writes whatever it likes into its rings, whenever it likes.</summary>
/// <remarks>
/// The input is a program: descriptors, tables, indices, kicks, stops, changes of memory, and what the device does with
/// each chain. Whatever it was, the host must serve a good request at the end, or say NEEDS_RESET and serve after a reset.
/// </remarks>
internal sealed partial class DeviceTarget : ITarget
{
    private const int MostSteps = 256;
    private const int MostTurns = 300; // a ring of 2^16 entries keeps a device busy for 256
    private const DeviceStatus AllOk = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk;

    private readonly bool _isPacked;
    private readonly GuestMap _memory = new();
    private readonly Input _input = new();
    private readonly List<PendingChain> _held = [];
    private RingWriter _ring = null!;
    private FuzzDevice _device = null!;
    private DeviceHost _host = null!;
    private FeatureSet _features;
    private int _size;
    private int _regions;
    private bool _isGood;        // the device keeps to the plain thing now
    private bool _ringIsTouched; // by the device, on behalf of its driver, in this call
    private ulong _reached;      // chains that the device was shown and did not postpone
    private ulong _postponed;

    public DeviceTarget(bool isPacked) => (_isPacked, Name) = (isPacked, isPacked ? "device-packed" : "device-split");

    public string Name { get; }

    public int MaxLength => 2048;

    public void Run(ReadOnlySpan<byte> bytes)
    {
        Begin(bytes);
        for (int left = MostSteps; left > 0 && !_input.IsEmpty; left--)
        {
            Step();
            CheckCounts();
        }

        End();
        CheckCounts();
    }

    private void Begin(ReadOnlySpan<byte> bytes)
    {
        _input.Start(bytes);
        _memory.Clear();
        _held.Clear();
        (_isGood, _ringIsTouched, _reached, _postponed) = (false, false, 0, 0);
        _device = new FuzzDevice(Serve, Stopping);
        byte how = _input.Byte();
        int size = _input.Byte();
        _size = size == 255 ? 256 : _isPacked ? 1 + size % 33 : 1 << size % 6;
        _features = FeaturesOf(how);
        var all = DeviceHostOptions.AllRingFeatures | Features.NotifyOnEmpty;
        _host = new DeviceHost(_device, _device, _device, new DeviceHostOptions { Observer = _device, RingFeatures = all }) { IsPolled = (how & 0x40) != 0 };
        _regions = GuestMap.Everything;
        _host.SetMemory(_memory[_regions]);
        _ring = RingWriter.Create(_isPacked, _memory, DefaultLayout);
        Negotiate();
        QueueSnapshot at = (how & 0x80) != 0 ? Position() : default;
        _ring.GoTo(at);
        _host.EnableQueue(0, DefaultLayout, at);
        _host.WriteStatus(AllOk);
    }

    private QueueLayout DefaultLayout => new(
        _size, new GuestAddress(GuestMap.Main), new GuestAddress(GuestMap.Main + 0x1400), new GuestAddress(GuestMap.Main + 0x1800));

    private FeatureSet FeaturesOf(int how)
    {
        FeatureSet features = Features.Version1;
        if (_isPacked)
            features |= Features.RingPacked;
        if ((how & 1) != 0)
            features |= Features.IndirectDesc;
        if ((how & 2) != 0)
            features |= Features.EventIdx;
        if ((how & 4) != 0)
            features |= Features.InOrder;
        if ((how & 8) != 0)
            features |= Features.NotifyOnEmpty;
        if ((how & 16) != 0)
            features |= Features.RingReset;
        return features;
    }

    private void Negotiate()
    {
        _host.WriteStatus(DeviceStatus.Reset);
        _host.WriteStatus(DeviceStatus.Acknowledge);
        _host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        _host.WriteDriverFeatures(_features);
        _host.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    }

    /// <summary>A place to go on from: any that a snapshot may say.</summary>
    private QueueSnapshot Position() => _isPacked
        ? new((ushort)_input.Below(_size), _input.Bit(), (ushort)_input.Below(_size), _input.Bit())
        : new(_input.Word());

    private void Step()
    {
        switch (_input.Byte() % 24)
        {
            case 0 or 1:
                OfferChain();
                break;
            case 2:
                OfferTable();
                break;
            case 3:
                OfferMany();
                break;
            case 4:
                PokeDescriptor();
                break;
            case 5:
                PokeDriverArea();
                break;
            case 6:
                PokeAnything();
                break;
            case 7 or 8 or 9:
                Serve(static host => host.Notify(0));
                break;
            case 10:
                Serve(_input.Bit() ? static host => host.Wake() : static host => host.Service(0));
                break;
            case 11:
                _host.Flush();
                break;
            case 12:
                _ = _input.Bit() ? _host.HasAvailable(0) : _host.Arm(0);
                break;
            case 13 or 14:
                CompleteOne();
                break;
            case 15:
                Move();
                break;
            case 16:
                SetMemory(_input.Byte() & GuestMap.Everything);
                break;
            case 17:
                Enable(AnyLayout(), Position());
                break;
            case 18:
                if (_host.DriverFeatures.Has(Features.RingReset))
                {
                    _host.ResetQueue(0);
                    _ring.GoTo(default);
                    Enable(DefaultLayout, default);
                }

                break;
            case 19:
                Restart();
                break;
            case 20:
                WriteStatus((DeviceStatus)_input.Byte());
                break;
            case 21:
                _host.IsPolled = _input.Bit();
                break;
            default:
                OfferChain();
                Serve(static host => host.Notify(0));
                break;
        }
    }

    /// <summary>Looks at the queue as often as the host asks for, which must come to an end.</summary>
    private void Serve(Func<DeviceHost, bool> look)
    {
        for (int turn = 0; ; turn++)
        {
            FindingException.Unless(turn < MostTurns, "the device does not come to an end");
            ulong before = Popped;
            ulong postponed = _postponed;
            QueueSlot slot = SlotsOf(_host)[0];
            bool isClean = slot.Chains == slot.PublishedChains; // nothing that was completed still has to be written
            _ringIsTouched = false;
            bool more = look(_host);
            ulong popped = Popped - before;
            FindingException.Unless(popped <= 256, $"{popped} chains were served in one turn");

            // What the driver showed before and has not been served yet may come on top of what it shows now.
            ulong shown = (ulong)_ring.Layout.Size * (_isPacked ? 1u : 2u);
            FindingException.Unless(_ringIsTouched || popped <= shown, $"{popped} chains came out of a queue of {_ring.Layout.Size} entries");

            // A split device may postpone a chain that the driver has taken back since it was seen; a packed one cannot.
            if (_isPacked && isClean && popped == 0 && _postponed != postponed && !_ringIsTouched && slot.Queue is not null)
                FindingException.Unless(!_ring.IsDrained(slot.At), "the device lost the chain that it postponed");
            CheckCounts();
            if (!more)
                return;
        }
    }

    private void SetMemory(int regions)
    {
        _regions |= regions; // until it returns, what is held may be finished in the old map
        _host.SetMemory(_memory[regions]);
        _regions = regions;
    }

    /// <summary>Stops the queue and goes on where it stood.</summary>
    private void Move()
    {
        QueueSnapshot at = _host.DisableQueue(0);
        FindingException.Unless(!_host.IsEnabled(0), "a disabled queue is enabled");
        QueueLayout layout = _ring.Layout;
        if (_input.Bit())
            (layout, at) = (AnyLayout(), _input.Bit() ? Position() : at);
        Enable(layout, at);
    }

    private void Enable(QueueLayout layout, QueueSnapshot at)
    {
        if (_host.DriverFeatures.Has(Features.RingPacked) != _isPacked)
            return;
        try
        {
            _host.EnableQueue(0, layout, at);
        }
        catch (QueueException)
        {
            return;
        }

        _ring = RingWriter.Create(_isPacked, _memory, layout);
        _ring.GoTo(at);
    }

    private void WriteStatus(DeviceStatus status)
    {
        if (status == DeviceStatus.Reset)
            Restart();
        else
            _host.WriteStatus(status);
    }

    /// <summary>A reset, and the default ring, with or without all the steps.</summary>
    private void Restart()
    {
        _features = FeaturesOf(_input.Byte());
        byte how = _input.Byte();
        Negotiate();
        if ((how & 1) == 0)
            Enable(DefaultLayout, (how & 4) != 0 ? Position() : default);
        if ((how & 2) == 0)
            _host.WriteStatus(AllOk);
    }

    private ulong Popped => _reached + _device.Faults;

    private void CheckCounts()
    {
        if (_device.Accident is { } accident)
            throw new FindingException($"the device stopped because of {accident}");
        QueueStatistics counts = _host.Statistics(0);
        FindingException.Unless(counts.Chains <= Popped, $"{counts.Chains} chains were completed, of {Popped} that were taken");
        FindingException.Unless(counts.FaultyChains <= Popped, $"{counts.FaultyChains} chains were faulty, of {Popped} that were taken");
        FindingException.Unless(counts.Postponed == _postponed, $"{counts.Postponed} chains count as postponed and {_postponed} were");
        FindingException.Unless(counts.Interrupts == _device.Interrupts, $"{counts.Interrupts} interrupts are counted and {_device.Interrupts} were sent");
    }
}

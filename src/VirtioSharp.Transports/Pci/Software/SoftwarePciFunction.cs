using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>A PCI function in software: configuration space, BARs, MSI-X, INTx. What it does is its subclass's.</summary>
/// <remarks>
/// Registers are accessed by one thread at a time; interrupts may come from any. Whoever carries the accesses (an in-process
/// bus, a server for a VMM) asks <see cref="TryGetMapping"/> where the BARs are and hands in an <see cref="IPciUpstream"/>.
/// </remarks>
public abstract class SoftwarePciFunction
{
    private readonly PciBar?[] _bars = new PciBar?[6];
    private readonly bool _hasLine;
    private MemoryMap _memory = MemoryMap.Empty;
    private IPciUpstream? _upstream;
    private int _msixAt;
    private bool _isBusMaster;

    /// <summary>Makes a function without BARs and capabilities.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="identity">What it is.</param>
    /// <param name="hasLine">Whether it has an INTx line.</param>
    protected SoftwarePciFunction(string name, PciFunctionIdentity identity, bool hasLine)
    {
        (Name, _hasLine) = (name, hasLine);
        Configuration.Set16(PciConfigurationRegister.VendorId, identity.VendorId);
        Configuration.Set16(PciConfigurationRegister.DeviceId, identity.DeviceId);
        Configuration.Set32(PciConfigurationRegister.Revision, identity.Revision | identity.ClassCode << 8);
        Configuration.Set16(PciConfigurationRegister.SubsystemVendorId, identity.SubsystemVendorId);
        Configuration.Set16(PciConfigurationRegister.SubsystemId, identity.SubsystemId);
        Configuration.Set8(PciConfigurationRegister.InterruptPin, hasLine ? (byte)1 : (byte)0);
        Configuration.AllowWrites(PciConfigurationRegister.InterruptLine, 0xFF);
        Configuration.AllowWrites(PciConfigurationRegister.Command, (uint)(PciCommand.BusMaster | PciCommand.InterruptDisable));
        Capabilities = new PciCapabilityList(Configuration);
    }

    /// <summary>For messages: which function this is.</summary>
    public string Name { get; }

    /// <summary>Its MSI-X vectors, if it has any.</summary>
    public MsixTable? Msix { get; private set; }

    /// <summary>Whether it has an INTx line.</summary>
    public bool HasLine => _hasLine;

    /// <summary>Whether it raises its INTx line now. Safe from any thread.</summary>
    public bool IsLineRaised => HasInterrupt && (Command & PciCommand.InterruptDisable) == 0;

    /// <summary>How long until <see cref="Work"/> is to be called: zero at once, null never.</summary>
    public virtual TimeSpan? UntilWork => null;

    /// <summary>
    /// Whether a thread other than the driver's may interrupt (<see cref="MsixTable.Raise"/> and so on): waiting for an interrupt
    /// then really waits, where it otherwise knows that nothing can come.
    /// </summary>
    public bool IsInterruptedFromOutside { get; set; }

    /// <summary>Its registers in configuration space.</summary>
    protected PciConfigurationSpace Configuration { get; } = new();

    /// <summary>Where to add capabilities.</summary>
    protected PciCapabilityList Capabilities { get; }

    /// <summary>Whether it has a reason to interrupt that is told by line.</summary>
    protected abstract bool WantsInterrupt { get; }

    private PciCommand Command => (PciCommand)Configuration.Read(PciConfigurationRegister.Command, 2);

    /// <summary>As the status register shows it: also with the line disabled.</summary>
    private bool HasInterrupt => _hasLine && Msix is not { IsEnabled: true } && WantsInterrupt;

    /// <summary>Does what the function has to do by itself (alarms, completions) and waited for.</summary>
    public virtual void Work()
    {
    }

    /// <summary>A configuration read cycle.</summary>
    public virtual uint ReadConfiguration(int offset, int width)
    {
        uint value = Configuration.Read(offset, width);
        int status = PciConfigurationRegister.Status - offset;
        if (status >= 0 && status < width && HasInterrupt)
            value |= (uint)PciStatus.Interrupt << (8 * status);
        return value;
    }

    /// <summary>A configuration write cycle.</summary>
    public virtual void WriteConfiguration(int offset, int width, uint value)
    {
        Configuration.Write(offset, width, value);
        if (offset < PciConfigurationRegister.Bar(6))
            _upstream?.DecodingChanged();
        if (offset < PciConfigurationRegister.Status || (Msix is not null && offset >= _msixAt && offset < _msixAt + MsixLayout.CapabilityBytes))
            UpdateControl();
    }

    /// <summary>Where a BAR is decoded now.</summary>
    /// <returns>False when it is not: there is none, no address was given, or the command register has its space off.</returns>
    public bool TryGetMapping(int bar, out PciMapping mapping)
    {
        mapping = default;
        if ((uint)bar >= 6 || _bars[bar] is not { } window)
            return false;
        int register = PciConfigurationRegister.Bar(bar);
        ulong start = Configuration.Read(register, 4) & ~(window.Kind == PciBarKind.Io ? 3u : 15u);
        if (window.Kind == PciBarKind.Memory64)
            start |= (ulong)Configuration.Read(register + 4, 4) << 32;
        PciCommand space = window.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        mapping = new PciMapping(start, window);
        return start != 0 && (Command & space) != 0;
    }

    /// <summary>The BAR itself, whether it is decoded or not.</summary>
    public PciBar? Bar(int index) => (uint)index < 6 ? _bars[index] : null;

    /// <summary>Plugs the function in. It is as after power-on.</summary>
    /// <param name="upstream">Where its interrupts go.</param>
    /// <param name="memory">What it sees of memory while the driver lets it be bus master.</param>
    public void Attach(IPciUpstream upstream, MemoryMap memory)
    {
        if (_upstream is not null)
            throw new InvalidOperationException($"{Name} is plugged in already");
        (_upstream, _memory) = (upstream, memory);
    }

    /// <summary>Power goes away: nothing of memory is in use when it returns, and nothing is remembered.</summary>
    public void Detach()
    {
        Reset();
        _upstream = null;
        _memory = MemoryMap.Empty;
    }

    /// <summary>Puts the function into the state it has after power-on.</summary>
    public void Reset()
    {
        OnReset();
        Configuration.PowerOn();
        Msix?.PowerOn();
        UpdateControl();
        _upstream?.DecodingChanged();
    }

    /// <summary>Says that <see cref="WantsInterrupt"/> may have changed. Safe from any thread.</summary>
    protected void InterruptChanged() => _upstream?.LineChanged();

    /// <summary>Says that <see cref="UntilWork"/> may have changed.</summary>
    protected void WorkChanged() => _upstream?.WorkChanged();

    /// <summary>The function sees other memory from now on.</summary>
    protected abstract void OnMemoryChanged(MemoryMap map);

    /// <summary>The function is reset by its bus.</summary>
    protected abstract void OnReset();

    /// <summary>Adds a BAR. A 64-bit one takes the next register, too.</summary>
    protected void AddBar(int index, PciBar bar)
    {
        int register = PciConfigurationRegister.Bar(index);
        ulong mask = ~(bar.Length - 1); // what reads back after all ones were written is the size (PCI 3.0 §6.2.5.1)
        _bars[index] = bar;
        Configuration.Set32(register, bar.TypeBits);
        Configuration.AllowWrites(register, (uint)mask);
        if (bar.Kind == PciBarKind.Memory64)
            Configuration.AllowWrites(register + 4, (uint)(mask >> 32));
        Configuration.AllowWrites(PciConfigurationRegister.Command, (uint)(bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace));
    }

    /// <summary>Adds MSI-X, with a BAR of its own for the table and the pending bits.</summary>
    protected void AddMsix(int bar, int vectors)
    {
        Msix = new MsixTable(vectors, (vector, message) => _upstream?.Send(vector, message));
        AddBar(bar, new PciBar(PciBarKind.Memory32, Msix));
        _msixAt = Capabilities.Add(PciCapabilityId.MsiX, MsixLayout.CapabilityBytes);
        Configuration.Set16(_msixAt + MsixLayout.ControlOffset, (ushort)(vectors - 1));
        Configuration.Set32(_msixAt + MsixLayout.TableOffset, (uint)bar);
        Configuration.Set32(_msixAt + MsixLayout.PendingOffset, (uint)(Msix.PendingOffset | bar));
        Configuration.AllowWrites(_msixAt + MsixLayout.ControlOffset, MsixLayout.Enable | MsixLayout.FunctionMask);
    }

    /// <summary>Everything has been added.</summary>
    protected void Seal() => Configuration.Seal();

    private void UpdateControl()
    {
        bool isBusMaster = (Command & PciCommand.BusMaster) != 0;
        if (isBusMaster != _isBusMaster)
        {
            _isBusMaster = isBusMaster;
            OnMemoryChanged(isBusMaster ? _memory : MemoryMap.Empty);
        }

        if (Msix is not null)
        {
            uint control = Configuration.Read(_msixAt + MsixLayout.ControlOffset, 2);
            Msix.SetState((control & MsixLayout.Enable) != 0, (control & MsixLayout.FunctionMask) != 0, isBusMaster);
        }

        InterruptChanged();
    }
}

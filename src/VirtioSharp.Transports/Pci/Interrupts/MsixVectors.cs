using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Interrupts;

/// <summary>A function's MSI-X table (PCI 3.0 §6.8.2), as its driver programs it.</summary>
internal sealed class MsixVectors
{
    private readonly IPciFunction _function;
    private readonly IRegisterWindow _table;
    private readonly int _capability;
    private readonly ulong _start;

    private MsixVectors(IPciFunction function, int capability, IRegisterWindow table, ulong start, int count)
    {
        (_function, _capability, _table, _start) = (function, capability, table, start);
        Count = count;
    }

    /// <summary>Entries of the table.</summary>
    public int Count { get; }

    /// <summary>Finds the table.</summary>
    /// <returns>Null when there is none that could be used; then the reason says why.</returns>
    public static MsixVectors? Find(IPciFunction function, out string reason)
    {
        reason = "no MSI-X capability";
        int position = PciCapabilityWalk.Read(function).Find(capability => capability.Id == PciCapabilityId.MsiX).Position;
        if (position == 0)
            return null;
        if (position + MsixLayout.CapabilityBytes > PciConfigurationRegister.Size)
        {
            reason = $"MSI-X capability at 0x{position:x2} is cut off";
            return null;
        }

        int count = ((int)function.ReadConfiguration(position + MsixLayout.ControlOffset, 2) & MsixLayout.SizeMask) + 1;
        uint where = function.ReadConfiguration(position + MsixLayout.TableOffset, 4);
        int bar = (int)(where & MsixLayout.BarMask);
        ulong start = where & ~MsixLayout.BarMask;
        ulong bytes = (ulong)count * MsixLayout.EntryBytes;
        if (bar > 5 || function.OpenBar(bar) is not { } window)
        {
            reason = $"MSI-X table: there is no BAR {bar}";
            return null;
        }

        if (bytes > window.Length || start > window.Length - bytes)
        {
            reason = $"MSI-X table: {count} entries at 0x{start:x} are beyond the 0x{window.Length:x} bytes of BAR {bar}";
            return null;
        }

        return new(function, position, window, start, count);
    }

    /// <summary>Turns messages on, all of them held back until <see cref="Unmask()"/>.</summary>
    /// <returns>False when the function does not.</returns>
    public bool TryEnable()
    {
        WriteControl(MsixLayout.Enable | MsixLayout.FunctionMask);
        return (ReadControl() & MsixLayout.Enable) != 0;
    }

    /// <summary>Lets messages out; those that were held back come now.</summary>
    public void Unmask() => WriteControl(MsixLayout.Enable);

    /// <summary>Turns messages off.</summary>
    public void Disable() => WriteControl(0);

    /// <summary>Says what to send, and lets the entry send it.</summary>
    public void Program(int entry, PciMessage message)
    {
        Mask(entry); // §6.8.2.7: not to be changed while it may be sent
        Write(entry, MsixLayout.EntryAddress, (uint)message.Address);
        Write(entry, MsixLayout.EntryAddress + 4, (uint)(message.Address >> 32));
        Write(entry, MsixLayout.EntryData, message.Data);
        Write(entry, MsixLayout.EntryControl, 0);
    }

    /// <summary>Holds an entry's message back.</summary>
    public void Mask(int entry) => Write(entry, MsixLayout.EntryControl, MsixLayout.EntryMasked);

    private uint ReadControl() => _function.ReadConfiguration(_capability + MsixLayout.ControlOffset, 2);

    private void WriteControl(int value) => _function.WriteConfiguration(_capability + MsixLayout.ControlOffset, 2, (uint)value);

    private void Write(int entry, int offset, uint value)
    {
        if ((uint)entry >= (uint)Count)
            throw new TransportException($"{_function.Name}: MSI-X entry {entry} of {Count}");
        _table.Write(_start + (ulong)(entry * MsixLayout.EntryBytes + offset), 4, value);
    }
}

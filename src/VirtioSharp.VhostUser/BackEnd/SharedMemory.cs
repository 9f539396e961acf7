using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>What the device sees of guest memory, and the log in which it notes what it writes there while a machine is migrated.</summary>
/// <remarks>It logs while F_LOG_ALL is negotiated and there is a log, whichever comes first. Each change moves the device over, whole.</remarks>
internal sealed class SharedMemory(DeviceHost host) : IDisposable
{
    private SharedFile? _log;
    private EventFd? _logged;
    private bool _wantsLog;

    /// <summary>The regions that the front-end has shared.</summary>
    public MemoryTable Table { get; } = new();

    /// <summary>Whether all of it, the log included, is safe from being cut short under us.</summary>
    public bool IsSealed => Table.IsSealed && _log?.IsSealed != false;

    /// <summary>Whether any of it was cut short, and what is gone has been touched.</summary>
    public bool HasLost => Table.HasLost || _log?.HasLost == true;

    /// <summary>What the device sees of memory instead of all of it, behind an IOMMU.</summary>
    public Iotlb? Iotlb { get; private set; }

    private bool IsLogging => _wantsLog && _log is not null;

    /// <summary>Puts other regions in force.</summary>
    /// <exception cref="TransportException">They overlap, or are more than the log in use has room for. The old ones stay in force.</exception>
    public void Replace(List<MemoryTable.Slot> slots)
    {
        if (IsLogging)
            MustHoldAll(_log!.Mapping.Length, MemoryTable.LastOf(slots));
        Table.Replace(slots, _ => Apply());
    }

    /// <summary>From now on the device's addresses are an IOMMU's, or are not any more. No ring may be running.</summary>
    public void SetIotlb(Iotlb? iotlb)
    {
        Iotlb = iotlb;
        Apply();
    }

    /// <summary>SET_LOG_BASE.</summary>
    /// <param name="description">Where the log is in <paramref name="file"/>.</param>
    /// <param name="file">Closed on return.</param>
    /// <exception cref="TransportException">It is not there, or too small for all of memory. The old log stays in force.</exception>
    public void SetLog(LogDescription description, FileDescriptor file)
    {
        SharedFile log = Map(description, file);
        SharedFile? old = _log;
        _log = log;
        if (_wantsLog)
            Apply();
        old?.Mapping.Dispose();
    }

    /// <summary>SET_LOG_FD: the front-end would like to know that pages were noted.</summary>
    public void SetLogSignal(EventFd signal)
    {
        _logged?.Dispose();
        _logged = signal;
    }

    /// <summary>F_LOG_ALL was accepted, or is not any more.</summary>
    /// <exception cref="TransportException">The log has become too small meanwhile.</exception>
    public void SetLogging(bool on)
    {
        if (on == _wantsLog)
            return;
        if (on && _log is not null)
            MustHoldAll(_log.Mapping.Length, Table.Last);
        _wantsLog = on;
        if (_log is not null)
            Apply();
    }

    /// <summary>Unmaps everything; rings have let go of it.</summary>
    public void Dispose()
    {
        host.SetMemory(MemoryMap.Empty);
        Table.Dispose();
        _log?.Mapping.Dispose();
        _logged?.Dispose();
    }

    private void Apply()
    {
        if (Iotlb is not null)
            foreach (IotlbEntry entry in Iotlb.Overlapping(0, ulong.MaxValue))
                if (!Table.Holds(entry.Region.Host))
                    Iotlb.Remove(entry);
        host.SetMemory(Table.Map, IsLogging ? new DirtyLog(_log!.Mapping.Address, _log.Mapping.Length, Table.Map, () => _logged?.Signal()) : null, Iotlb);
    }

    private SharedFile Map(LogDescription description, FileDescriptor file)
    {
        using (file)
        {
            if (description.MmapOffset % 8 != 0)
                throw new TransportException($"SET_LOG_BASE: offset = 0x{description.MmapOffset:x} is not aligned to 8");
            MustHoldAll(description.MmapSize, Table.Last);
            return SharedFile.Map(file, description.MmapOffset, description.MmapSize, $"SET_LOG_BASE: size = {description.MmapSize}, offset = 0x{description.MmapOffset:x}");
        }
    }

    /// <param name="bytes">Of log, a bit for each page of 4 KiB.</param>
    /// <param name="last">The last guest address there is.</param>
    private static void MustHoldAll(ulong bytes, ulong last)
    {
        if (last >> 15 >= bytes)
            throw new TransportException($"the log has {bytes} bytes; memory reaches to 0x{last:x} and needs {(last >> 15) + 1}");
    }
}

using VirtioSharp.Core.Device;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Pci;

/// <summary>A device as both register personalities have it: its host, its interrupts, what was written about its queues.</summary>
internal sealed class VirtioPciDevice
{
    /// <summary>More chains than a queue can hold, at 256 a turn: afterwards others have a turn first.</summary>
    private const int MaxTurns = 130;

    private readonly Action?[] _doorbells;

    public VirtioPciDevice(VirtioDevice device, DeviceHostOptions options, Action lineChanged, Action workChanged)
    {
        int queues = device.Traits.Queues.Count;
        _doorbells = new Action?[queues];
        Interrupts = new VirtioPciInterrupts(queues, lineChanged);
        Loop = new InProcessLoop(options.Time, workChanged);
        Host = new DeviceHost(device, Interrupts, Loop, options);
        Queues = [.. Enumerable.Range(0, queues).Select(index => new VirtioPciQueue(this, index))];
    }

    public DeviceHost Host { get; }

    public VirtioPciInterrupts Interrupts { get; }

    public InProcessLoop Loop { get; }

    public VirtioPciQueue[] Queues { get; }

    /// <summary>Whether a queue waits for another turn.</summary>
    public bool HasMore { get; private set; }

    /// <summary>Counts resets by the driver: registers that are the personality's own go back to 0 with them.</summary>
    public int Resets { get; private set; }

    public void SetDoorbell(int queue, Action? ring) => _doorbells[queue] = ring;

    /// <summary>The driver writes the status field.</summary>
    public void WriteStatus(DeviceStatus value)
    {
        if (value == DeviceStatus.Reset)
            Reset();
        else
            Host.WriteStatus(value);
        Flush();
    }

    /// <summary>Back to the beginning: the device, its queues, its vectors, ISR status.</summary>
    public void Reset()
    {
        Host.Reset();
        foreach (VirtioPciQueue queue in Queues)
            queue.Reset();
        Interrupts.Reset();
        Loop.ClearAlarm();
        HasMore = false;
        Resets++;
    }

    /// <summary>The driver notifies a queue, which may not exist.</summary>
    public void Notify(int queue)
    {
        if ((uint)queue >= (uint)Queues.Length)
            return;
        if (_doorbells[queue] is { } ring)
            ring();
        else
            Serve(queue, Host.Notify(queue));
    }

    /// <summary>Serves what waits for another turn, and the device's alarm.</summary>
    public void Work()
    {
        Loop.ClearAlarm();
        HasMore = false;
        for (int queue = 0; queue < Queues.Length; queue++)
            Serve(queue, Host.Service(queue));
    }

    public uint ReadConfiguration(ulong offset, int width) => ConfigurationAccess.Read(Host, offset, width);

    public void WriteConfiguration(ulong offset, int width, uint value)
    {
        ConfigurationAccess.Write(Host, offset, width, value);
        Flush();
    }

    private void Serve(int queue, bool more)
    {
        for (int turn = 0; more && turn < MaxTurns; turn++)
            more = Host.Service(queue);
        if (more)
            HasMore = true;
        Flush();
    }

    private void Flush()
    {
        if (Loop.TakeFlush())
            Host.Flush();
    }
}

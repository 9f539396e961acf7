using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Transports.Mmio;

/// <summary>The queue registers of a virtio-mmio window: one queue is selected, and the others wait. Two versions of it.</summary>
/// <remarks>
/// Registers of a queue that does not exist read 0. Writes to it are ignored, and so are those to a queue that is in use,
/// save to stop it: the driver must not (§4.2.2.2), and the ring that is being served stays as it was checked.
/// </remarks>
internal abstract class MmioQueues(DeviceHost host)
{
    private uint _selected;

    protected DeviceHost Host { get; } = host;

    /// <summary>The selected queue; only while <see cref="Exists"/>.</summary>
    protected int Selected => (int)_selected;

    protected bool Exists => _selected < (uint)Host.Traits.Queues.Count;

    /// <summary>What the driver may choose at the most; 0 says that there is no such queue.</summary>
    public uint MaxSize => Exists ? (uint)Host.Traits.Queues[Selected].MaxSize : 0;

    public void Select(uint queue) => _selected = queue;

    public abstract uint Read(int register);

    public abstract void Write(int register, uint value);

    /// <summary>The device was reset.</summary>
    public virtual void Reset() => _selected = 0;

    /// <summary>Where the driver says that the selected queue is.</summary>
    /// <exception cref="QueueException">It cannot be there.</exception>
    protected abstract QueueLayout Layout();

    /// <summary>Enables the selected queue, if it can be.</summary>
    /// <remarks>Few drivers read back whether it was, so NEEDS_RESET says that it was not; the host's observer learns why.</remarks>
    /// <returns>Whether it is enabled.</returns>
    protected bool TryEnable()
    {
        try
        {
            Host.EnableQueue(Selected, Layout());
            return true;
        }
        catch (QueueException refused)
        {
            Host.Fail(Selected, refused);
            return false;
        }
    }
}

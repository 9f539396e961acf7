using System.Buffers;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>A device: what it is, and what it does with one request. It never sees a transport or a ring.</summary>
/// <remarks>
/// All its methods are called on one thread, the host's. A request that cannot be understood is a
/// <see cref="ChainException"/>; anything else that escapes puts the device into NEEDS_RESET until the driver resets it.
/// </remarks>
public abstract class VirtioDevice
{
    private IDeviceServices? _services;

    /// <summary>What kind of device this is. The same object at every call.</summary>
    public abstract DeviceTraits Traits { get; }

    /// <summary>Serves one request; when it returns, the chain is completed with what was written. It must not block.</summary>
    public abstract void OnChain(int queue, scoped ref DeviceChain chain);

    /// <summary>The driver is ready (DRIVER_OK) and these features hold until the next reset.</summary>
    public virtual void OnStart(FeatureSet features)
    {
    }

    /// <summary>A queue is about to stop: complete the chains of it that are held, or forget them. Afterwards its memory may be gone.</summary>
    /// <remarks>Called only when there are such chains. It may wait for I/O that is under way, as nothing else can be done before.</remarks>
    public virtual void OnStopping(int queue)
    {
    }

    /// <summary>As <see cref="OnStopping"/>, but whoever takes over finds the chains that are not completed, and serves them: give up
    /// what can be given up. Afterwards nothing may touch their memory.</summary>
    public virtual void OnSuspending(int queue) => OnStopping(queue);

    /// <summary>The driver has reset the device; nothing of the last session may remain.</summary>
    public virtual void OnReset()
    {
    }

    /// <summary>Reads device configuration space; the host has checked the range against <see cref="DeviceTraits.ConfigurationSize"/>.</summary>
    public virtual void ReadConfiguration(int offset, Span<byte> destination) => destination.Clear();

    /// <summary>Writes device configuration space; the host has checked the range. By default nothing there is the driver's to write.</summary>
    /// <returns>False when it would change what only the device may; nothing has changed then.</returns>
    public virtual bool WriteConfiguration(int offset, ReadOnlySpan<byte> source) => false;

    /// <summary>Writes what a driver set that is neither in its rings nor told again by whoever moves it to another host; nothing by default.</summary>
    /// <remarks>At most <see cref="DeviceState.MaxBytes"/>. It is read by other versions of the device: begin with a version of your own.</remarks>
    public virtual void SaveState(IBufferWriter<byte> state)
    {
    }

    /// <summary>Takes over what <see cref="SaveState"/> wrote, elsewhere or before. All of it comes from outside: check it, then use it.</summary>
    /// <exception cref="FormatException">It cannot be: the message names the field. Nothing has changed then.</exception>
    public virtual void LoadState(ReadOnlySpan<byte> state)
    {
        if (!state.IsEmpty)
            throw new FormatException($"{state.Length} bytes of state, where the device has none");
    }

    /// <summary>The clock and the alarm of the host.</summary>
    /// <exception cref="InvalidOperationException">The device has no host yet.</exception>
    protected IDeviceServices Services => _services ?? throw new InvalidOperationException("the device is not in a host yet");

    internal virtual void Attach(IDeviceServices services)
    {
        if (_services is not null)
            throw new InvalidOperationException("the device already has a host: make one device per host");
        _services = services;
    }
}

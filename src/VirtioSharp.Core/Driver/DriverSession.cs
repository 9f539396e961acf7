using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver;

/// <summary>A driver's hold on a device from reset to reset, in the order of §3.1.1; the mirror of <c>DeviceHost</c>.</summary>
/// <remarks>
/// Steps 1–6 (reset … FEATURES_OK) happen in <see cref="Open(IDriverTransport, DeviceId, DriverFeatures)"/>, queues are asked for, and <see cref="Start"/> sets DRIVER_OK.
/// Over a legacy interface it is the same to the driver, with what that interface does not have left out (§3.1.2).
/// </remarks>
public sealed partial class DriverSession : IDisposable
{
    private readonly IDriverTransport _transport;

    private DriverSession(IDriverTransport transport) => _transport = transport;

    /// <summary>What kind of device it is.</summary>
    public DeviceId DeviceId => _transport.DeviceId;

    /// <summary>Memory that the device can reach.</summary>
    public DmaArena Dma => _transport.Dma;

    /// <summary>The clock that waiting goes by.</summary>
    public TimeProvider Time => _transport.Time;

    /// <summary>Whether DRIVER_OK has been set since the last reset.</summary>
    public bool IsStarted { get; private set; }

    /// <summary>What the device offers, whether it was accepted or not.</summary>
    public FeatureSet OfferedFeatures => _transport.ReadDeviceFeatures();

    /// <summary>What was agreed on.</summary>
    public FeatureSet NegotiatedFeatures { get; private set; }

    /// <summary>Whether the device is used through its legacy interface (§2.2.3): 32 feature bits, old layouts, native byte order.</summary>
    public bool IsLegacy => _transport.LegacyAlignment != 0;

    /// <summary>Whether the device asks to be reset (§2.1.2).</summary>
    public bool NeedsReset => (_transport.ReadStatus() & DeviceStatus.NeedsReset) != 0;

    /// <summary>Resets the device and negotiates.</summary>
    /// <param name="transport">The way to the device.</param>
    /// <param name="id">The kind of device the driver is for.</param>
    /// <param name="wanted">The device features that the driver understands; those of the rings are added.</param>
    /// <param name="withheld">Features not to accept, though understood.</param>
    /// <exception cref="TransportException">It is another kind of device, does not reset, or refuses the features.</exception>
    public static DriverSession Open(IDriverTransport transport, DeviceId id, FeatureSet wanted = default, FeatureSet withheld = default) =>
        Open(transport, id, new DriverFeatures(wanted) { Withheld = withheld });

    /// <inheritdoc cref="Open(IDriverTransport, DeviceId, FeatureSet, FeatureSet)"/>
    /// <param name="transport">The way to the device.</param>
    /// <param name="id">The kind of device the driver is for.</param>
    /// <param name="features">What the driver knows to do with features.</param>
    public static DriverSession Open(IDriverTransport transport, DeviceId id, DriverFeatures features)
    {
        if (transport.DeviceId != id)
            throw new TransportException($"device id = {(ushort)transport.DeviceId} ({transport.DeviceId}) is not the driver's {(ushort)id} ({id})");
        var session = new DriverSession(transport);
        Handshake.Reset(transport);
        session.GuardSetUp(() => session.NegotiatedFeatures = Handshake.Negotiate(transport, features));
        return session;
    }

    /// <summary>Sets DRIVER_OK: the device is live.</summary>
    /// <exception cref="TransportException">The device is gone.</exception>
    public void Start()
    {
        _transport.WriteStatus(Handshake.ReadStatus(_transport) | DeviceStatus.DriverOk);
        IsStarted = true;
    }

    /// <summary>Resets the device, so that it lets go of the queues' memory before that goes away.</summary>
    public void Dispose()
    {
        TryReset();
        Break("the driver has closed its session"); // its queues' memory may be gone next
    }

    /// <summary>Resets the device for good.</summary>
    /// <returns>Whether it said so: otherwise it may still use the queues' memory.</returns>
    internal bool TryReset()
    {
        IsStarted = false;
        try
        {
            Handshake.Reset(_transport);
            return true;
        }
        catch (TransportException)
        {
            return false; // a device that is gone, or that does not answer, is not going to be reset
        }
    }

    /// <summary>A step of the set-up that goes wrong is the last (§3.1.1): the device is told FAILED.</summary>
    private void GuardSetUp(Action step)
    {
        try
        {
            step();
        }
        catch
        {
            Handshake.Fail(_transport);
            throw;
        }
    }
}

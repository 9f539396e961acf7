using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver;

/// <summary>The steps of §3.1.1 that go through the status and the feature fields alone: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK.</summary>
/// <remarks>A legacy interface has no FEATURES_OK and 32 feature bits (§3.1.2, §2.2.3).</remarks>
internal static class Handshake
{
    /// <summary>How often the status field is read back before a device counts as dead.</summary>
    private const int ResetPolls = 1000;

    /// <summary>Bits 0–31, all that a legacy interface can show.</summary>
    private static readonly FeatureSet LegacyWord = new(uint.MaxValue);

    /// <summary>What this library's driver rings know.</summary>
    private static readonly FeatureSet RingFeatures =
        Features.Version1 | Features.IndirectDesc | Features.EventIdx | Features.RingPacked | Features.InOrder
        | Features.NotificationData | Features.RingReset;

    /// <summary>The same with a legacy interface. ANY_LAYOUT MUST be accepted (§6.3).</summary>
    private static readonly FeatureSet LegacyRingFeatures = Features.AnyLayout | Features.IndirectDesc | Features.EventIdx;

    /// <summary>Writes 0 and waits until it reads back: only then has the device let go of its queues (§2.4.2).</summary>
    /// <exception cref="TransportException">It does not within about a second, or is gone.</exception>
    public static void Reset(IDriverTransport transport)
    {
        transport.WriteStatus(DeviceStatus.Reset);
        for (int poll = 0; poll < ResetPolls; poll++)
        {
            DeviceStatus status = transport.ReadStatus();
            if (status == DeviceStatus.Reset)
                return;
            if ((byte)status == 0xFF)
                throw new TransportException("device status reads 0xff: the device has been unplugged");
            if (poll > 16)
                Thread.Sleep(1);
        }

        throw new TransportException($"device status still reads {transport.ReadStatus()} after a reset");
    }

    /// <summary>Accepts what is offered, wanted or known to the rings, and not withheld.</summary>
    /// <returns>What is agreed on until the next reset.</returns>
    /// <exception cref="TransportException">The device refuses, or is of the other kind: legacy where the transport is not.</exception>
    public static FeatureSet Negotiate(IDriverTransport transport, FeatureSet wanted, FeatureSet withheld)
    {
        transport.WriteStatus(DeviceStatus.Acknowledge);
        transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        return transport.LegacyAlignment == 0 ? NegotiateModern(transport, wanted, withheld) : NegotiateLegacy(transport, wanted, withheld);
    }

    /// <summary>Tells the device that its driver has given up. What is wrong already is not made worse by a transport that fails, too.</summary>
    public static void Fail(IDriverTransport transport)
    {
        try
        {
            transport.WriteStatus(transport.ReadStatus() | DeviceStatus.Failed);
        }
        catch (TransportException)
        {
            // Nobody is left to be told.
        }
    }

    private static FeatureSet NegotiateModern(IDriverTransport transport, FeatureSet wanted, FeatureSet withheld)
    {
        FeatureSet offered = transport.ReadDeviceFeatures();
        if (!offered.Has(Features.Version1))
            throw new TransportException($"the device offers {offered}: without VERSION_1 it is a legacy device");
        FeatureSet accepted = (offered & (wanted | RingFeatures)) - withheld;
        transport.WriteDriverFeatures(accepted);
        transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
        if ((transport.ReadStatus() & DeviceStatus.FeaturesOk) == 0)
            throw new TransportException($"the device refused the features {accepted} (it offers {offered})");
        return accepted;
    }

    private static FeatureSet NegotiateLegacy(IDriverTransport transport, FeatureSet wanted, FeatureSet withheld)
    {
        FeatureSet accepted = (transport.ReadDeviceFeatures() & LegacyWord & (wanted | LegacyRingFeatures)) - withheld;
        transport.WriteDriverFeatures(accepted); // nobody answers: the device takes them at its first use
        return accepted;
    }
}

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
            if (ReadStatus(transport) == DeviceStatus.Reset)
                return;
            if (poll > 16)
                Thread.Sleep(1);
        }

        throw new TransportException($"device status still reads {transport.ReadStatus()} after a reset");
    }

    /// <summary>Reads the status field of a device that is there: a register that nobody answers reads as ones.</summary>
    /// <exception cref="TransportException">The device is gone.</exception>
    public static DeviceStatus ReadStatus(IDriverTransport transport)
    {
        DeviceStatus status = transport.ReadStatus();
        return (byte)status != 0xFF ? status : throw new TransportException("device status reads 0xff: the device has been unplugged");
    }

    /// <summary>Accepts what is offered, wanted or known to the rings, and not withheld.</summary>
    /// <returns>What is agreed on until the next reset.</returns>
    /// <exception cref="TransportException">The device refuses, or lacks something.</exception>
    public static FeatureSet Negotiate(IDriverTransport transport, DriverFeatures features)
    {
        transport.WriteStatus(DeviceStatus.Acknowledge);
        transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        FeatureSet offered = ReadOffered(transport);
        FeatureSet accepted = Choose(transport, features, offered);
        Accept(transport, accepted, offered);
        return accepted;
    }

    /// <summary>Agrees once more on what was agreed on before a reset.</summary>
    /// <exception cref="TransportException">The device has become another one, or refuses.</exception>
    public static void Renegotiate(IDriverTransport transport, FeatureSet agreed)
    {
        transport.WriteStatus(DeviceStatus.Acknowledge);
        transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        FeatureSet offered = ReadOffered(transport);
        if (!offered.Has(agreed))
            throw new TransportException($"the device offers {agreed - offered} no more: it was agreed on before the reset");
        Accept(transport, agreed, offered);
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

    private static FeatureSet ReadOffered(IDriverTransport transport)
    {
        FeatureSet offered = transport.ReadDeviceFeatures();
        if (transport.LegacyAlignment != 0)
            return offered & LegacyWord;
        return offered.Has(Features.Version1)
            ? offered
            : throw new TransportException($"the device offers {offered}: without VERSION_1 it is a legacy device");
    }

    private static FeatureSet Choose(IDriverTransport transport, DriverFeatures features, FeatureSet offered)
    {
        bool isLegacy = transport.LegacyAlignment != 0;
        FeatureSet wanted = isLegacy ? features.LegacyWanted ?? features.Wanted : features.Wanted;
        FeatureSet accepted = (offered & (wanted | (isLegacy ? LegacyRingFeatures : RingFeatures))) - features.Withheld;
        if (features.Validate is { } validate)
            accepted &= ConfigurationReader.Read(transport, configuration => validate(offered, configuration)) | Features.Reserved;
        if (!accepted.Has(features.Required))
            throw new TransportException($"the device offers {offered}: the driver cannot do without {features.Required - accepted}");
        return accepted;
    }

    /// <summary>Steps 4–6. With a legacy interface nobody answers: the device takes the features at its first use.</summary>
    private static void Accept(IDriverTransport transport, FeatureSet accepted, FeatureSet offered)
    {
        transport.WriteDriverFeatures(accepted);
        if (transport.LegacyAlignment != 0)
            return;
        transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
        if ((ReadStatus(transport) & DeviceStatus.FeaturesOk) == 0)
            throw new TransportException($"the device refused the features {accepted} (it offers {offered})");
    }
}

using VirtioSharp.Cli.Probe;
using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Cli.Serve;

/// <summary>What a device offers, by the names that <c>--without-virtio</c> takes: the specification's without the prefix, in either case, with - or _.</summary>
internal sealed class OfferedFeatures
{
    private readonly Dictionary<string, int> _bits = new(StringComparer.Ordinal);

    private OfferedFeatures(DeviceTraits traits)
    {
        DeviceSheet? sheet = DeviceSheet.All.FirstOrDefault(sheet => sheet.Id == traits.Id);
        foreach (int bit in traits.Features | VhostUserOptions.RingFeatures)
            if ((Features.NameOf(bit) ?? sheet?.Features.GetValueOrDefault(bit)) is { } name)
                _bits[Spell(name)] = bit;
    }

    public static OfferedFeatures Of(DeviceTraits traits) => new(traits);

    /// <summary>The features with some names.</summary>
    /// <param name="lists">Names, with commas between.</param>
    /// <exception cref="UserException">One is not offered, or cannot be left out.</exception>
    public FeatureSet Find(string[] lists)
    {
        FeatureSet found = default;
        foreach (string given in lists.SelectMany(list => list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
        {
            if (!_bits.TryGetValue(Spell(given), out int bit))
                throw new UserException($"--without-virtio {given}: this device offers {string.Join(", ", _bits.Keys.Where(name => WhyNot(name) is null))}", ExitCode.Usage);
            if (WhyNot(Spell(given)) is { } reason)
                throw new UserException($"--without-virtio {given}: cannot be left out, {reason}", ExitCode.Usage);
            found |= FeatureSet.Bit(bit);
        }

        return found;
    }

    private static string? WhyNot(string name) => name switch
    {
        "version-1" => "as only a legacy driver could use the device then; a legacy driver does not accept it anyway",
        "ro" => "or the driver would write to a disk that refuses it; serve it without --read-only",
        _ => null,
    };

    private static string Spell(string name) => name.ToLowerInvariant().Replace('_', '-');
}

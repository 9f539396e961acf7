using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>A part of a file that a front-end shares, mapped here.</summary>
/// <param name="Mapping">Where.</param>
/// <param name="IsSealed">Whether it is safe from being cut short under us.</param>
internal sealed record SharedFile(MappedRegion Mapping, bool IsSealed)
{
    /// <summary>Whether it was cut short all the same, and what is gone has been touched.</summary>
    public bool HasLost => Mapping.HasLost;

    /// <summary>Seals the file if that is allowed, and maps a part of it; what cannot be sealed is watched.</summary>
    /// <param name="file">Not closed.</param>
    /// <param name="offset">Where the part starts.</param>
    /// <param name="size">Its bytes.</param>
    /// <param name="what">The front-end's claim, for the error.</param>
    /// <exception cref="TransportException">The claim does not hold.</exception>
    public static SharedFile Map(FileDescriptor file, ulong offset, ulong size, string what)
    {
        try
        {
            bool isSealed = MemFd.TrySealShrink(file);
            MappedRegion mapping = MappedRegion.Map(file, offset, size);
            if (!isSealed)
                mapping.Watch();
            return new SharedFile(mapping, isSealed);
        }
        catch (LinuxException refused)
        {
            throw new TransportException($"{what}: {refused.Message}", refused);
        }
    }
}

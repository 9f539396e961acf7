namespace VirtioSharp.Check;

/// <summary>Where a requirement stands.</summary>
internal static class From
{
    /// <summary>The vhost-user specification, by the heading.</summary>
    public static string VhostUser(string heading) => $"vhost-user, {heading}";

    /// <summary>VIRTIO 1.2, by the section.</summary>
    public static string Virtio(string section) => $"VIRTIO 1.2 §{section}";

    /// <summary>What a back-end may do with a message that breaks the rules; the words are in "Communication".</summary>
    public const string MayClose = "vhost-user, Communication: on an error the back-end may close the connection";

    /// <summary>Not in the specification, which says nothing of a front-end that lies; others were hurt by it.</summary>
    public static string History(string where) => $"no harm from the front-end: {where}";
}

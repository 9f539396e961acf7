using VirtioSharp.Check.Cases;

namespace VirtioSharp.Check;

/// <summary>Everything there is to check, in the order in which it is done: from messages to rings to what is hostile.</summary>
public static class CheckList
{
    /// <summary>All cases by what they are about. A new case is a line in the array of its group.</summary>
    public static IReadOnlyList<CheckGroup> Groups { get; } =
    [
        new("Replies", Replies.All),
        new("Framing", Framing.All),
        new("File descriptors", Descriptors.All),
        new("Acknowledgements", Acknowledgements.All),
        new("What was not negotiated", Gating.All),
        new("Rings", Rings.All),
        new("Order of messages", Ordering.All),
        new("Memory", Memory.All),
        new("Configuration, status, channel", Configuration.All),
        new("Sessions", Sessions.All),
        new("In-flight tracking and logging", Recovery.All),
        new("Behind an IOMMU", Translation.All),
        new("Device state", DeviceStates.All),
        new("Guest addresses, in-band notifications, suspended requests", Extensions.All),
        new("Disks", Disks.All),
        new("Rings that cannot be", RingSetup.All),
        new("Chains no driver may make", Chains.All),
    ];

    /// <summary>The same without groups.</summary>
    public static IEnumerable<CheckCase> All => Groups.SelectMany(group => group.Cases);
}

/// <summary>Cases that belong together.</summary>
/// <param name="Title">What they are about.</param>
/// <param name="Cases">In their order.</param>
public sealed record CheckGroup(string Title, IReadOnlyList<CheckCase> Cases);

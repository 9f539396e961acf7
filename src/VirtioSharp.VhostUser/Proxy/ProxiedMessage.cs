namespace VirtioSharp.VhostUser.Proxy;

/// <summary>Who sent a message that passed a <see cref="VhostUserProxy"/>.</summary>
public enum ProxySender
{
    /// <summary>The VMM.</summary>
    FrontEnd,
    /// <summary>The daemon.</summary>
    BackEnd,
    /// <summary>Nobody: the proxy itself says something.</summary>
    Proxy,
}

/// <summary>A message that passed, in words.</summary>
/// <param name="At">From the beginning of the session.</param>
/// <param name="Sender">Who sent it.</param>
/// <param name="Name">The specification's name of the request; of a reply, that of what it answers.</param>
/// <param name="IsReply">Whether it answers.</param>
/// <param name="IsBackEndChannel">Whether it went over the socket for the back-end's own requests.</param>
/// <param name="Request">The request's number.</param>
/// <param name="Flags">The header's second word.</param>
/// <param name="Size">Bytes of payload.</param>
/// <param name="Took">Of a reply: how long the request waited for it.</param>
/// <param name="Fields">What is in it, a line each.</param>
/// <param name="Descriptors">What came with it, each in the kernel's words.</param>
/// <param name="Remarks">What somebody who looks for a fault should know, a sentence each.</param>
public sealed record ProxiedMessage(
    TimeSpan At,
    ProxySender Sender,
    string Name,
    bool IsReply,
    bool IsBackEndChannel,
    uint Request,
    uint Flags,
    uint Size,
    TimeSpan? Took,
    IReadOnlyList<string> Fields,
    IReadOnlyList<string> Descriptors,
    IReadOnlyList<string> Remarks);

using VirtioSharp.Core.Errors;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>A back-end did not do what a message asked of it.</summary>
/// <param name="failure">In which way.</param>
/// <param name="request">The message it is about; none where there was no message.</param>
/// <param name="message">What was wrong: the message, the field and its value.</param>
/// <param name="inner">What led to it.</param>
public sealed class VhostUserException(VhostUserFailure failure, FrontEndRequest request, string message, Exception? inner = null)
    : TransportException(message, inner)
{
    /// <summary>In which way.</summary>
    public VhostUserFailure Failure { get; } = failure;

    /// <summary>The message it is about; <see cref="FrontEndRequest.None"/> where there was no message.</summary>
    public FrontEndRequest Request { get; } = request;
}

/// <summary>In which ways a back-end can fail its front-end.</summary>
public enum VhostUserFailure
{
    /// <summary>It cannot be reached, or has closed the connection. Started again, it may be reached again.</summary>
    Lost,
    /// <summary>It broke the rules of the protocol. The connection is of no use any more.</summary>
    BrokenRules,
    /// <summary>It did not answer in time. The connection is of no use any more, as the answer may still come.</summary>
    TimedOut,
    /// <summary>It said no. The connection goes on.</summary>
    Refused,
    /// <summary>It does not have what was asked for, or it was withheld from it.</summary>
    Lacking,
}

namespace VirtioSharp.Linux;

/// <summary>What a descriptor is ready for, or what to wait for (epoll_ctl(2)).</summary>
/// <remarks>States, not changes: EPOLLET is absent, as an edge that a failed round has not served would never come again.</remarks>
[Flags]
public enum EpollEvents : uint
{
    /// <summary>Nothing. As an interest it pauses a descriptor, but <see cref="Error"/> and <see cref="HangUp"/> still come.</summary>
    None = 0,

    /// <summary>A read would not block (EPOLLIN).</summary>
    In = 0x1,

    /// <summary>Something exceptional (EPOLLPRI).</summary>
    Priority = 0x2,

    /// <summary>A write would not block (EPOLLOUT).</summary>
    Out = 0x4,

    /// <summary>Something failed (EPOLLERR). Reported whether asked for or not.</summary>
    Error = 0x8,

    /// <summary>Both directions are closed (EPOLLHUP). Reported whether asked for or not.</summary>
    HangUp = 0x10,

    /// <summary>The peer has closed its sending direction (EPOLLRDHUP).</summary>
    PeerClosed = 0x2000,
}

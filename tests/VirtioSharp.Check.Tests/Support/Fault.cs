namespace VirtioSharp.Check.Tests.Support;

/// <summary>What a <see cref="MiniDaemon"/> does wrong.</summary>
public enum Fault
{
    None,
    /// <summary>GET_VRING_BASE is answered with 4 bytes.</summary>
    ShortBaseReply,
    /// <summary>No reply has the reply bit.</summary>
    NoReplyBit,
    /// <summary>It serves one front-end and no other.</summary>
    ListensOnce,
    /// <summary>It reads, and says nothing.</summary>
    NeverAnswers,
    /// <summary>A chain it does not like is the last thing it does, in any session.</summary>
    WedgesAfterBadChain,
    /// <summary>A ring starts at 0 wherever SET_VRING_BASE says.</summary>
    IgnoresBase,
    /// <summary>Whatever it does not like is acknowledged as done.</summary>
    AcknowledgesAll,
    /// <summary>need_reply is never answered.</summary>
    NoAcknowledgements,
    /// <summary>It keeps descriptors that it has no use for.</summary>
    KeepsDescriptors,
    /// <summary>A message that it does not know ends it.</summary>
    DiesOfUnknown,
    /// <summary>It goes on with a ring after GET_VRING_BASE.</summary>
    ServesStoppedRings,
    /// <summary>SET_VRING_KICK disables the ring.</summary>
    KickDisables,
    /// <summary>It uses buffers without writing to them.</summary>
    WritesNothing,
    /// <summary>It writes 16 bytes more than there is room for.</summary>
    WritesTooMuch,
    /// <summary>It never signals the call descriptor.</summary>
    NoInterrupts,
    /// <summary>It reads from the stream without minding where a message ends.</summary>
    OneMessagePerRead,
    /// <summary>It follows the first region of the memory table only.</summary>
    OneRegion,
}

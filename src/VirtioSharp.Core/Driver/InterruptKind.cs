namespace VirtioSharp.Core.Driver;

/// <summary>How a transport tells its notifications apart; better ones first, as Linux's <c>vp_find_vqs</c> tries them.</summary>
public enum InterruptKind
{
    /// <summary>A message of its own for every queue with a callback, and one for the configuration.</summary>
    VectorPerQueue,

    /// <summary>One message for the configuration and one that all queues share: every queue is looked at.</summary>
    SharedVector,

    /// <summary>A line: the ISR status (PCI) or InterruptStatus (MMIO) tells used buffers from configuration changes, no more.</summary>
    Line,
}

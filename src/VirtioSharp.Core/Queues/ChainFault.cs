namespace VirtioSharp.Core.Queues;

/// <summary>Why one chain was answered with length 0 instead of being served.</summary>
public enum ChainFaultKind
{
    /// <summary>Nothing is wrong.</summary>
    None,
    /// <summary>A buffer, or part of it, is not in guest memory (or its end wraps past 2^64).</summary>
    AddressUnmapped,
    /// <summary>A buffer, or part of it, that has no translation for reading (VIRTIO_F_ACCESS_PLATFORM). The chain is answered when the IOMMU refuses one.</summary>
    UntranslatedRead,
    /// <summary>A buffer, or part of it, that has none for writing.</summary>
    UntranslatedWrite,
    /// <summary>More translations than can be known at one time.</summary>
    TooManyTranslations,
    /// <summary>A device-readable buffer follows a device-writable one (§2.7.4.2).</summary>
    ReadableAfterWritable,
    /// <summary>The INDIRECT flag without VIRTIO_F_INDIRECT_DESC (§2.7.5.3.1).</summary>
    IndirectNotNegotiated,
    /// <summary>An indirect descriptor inside an indirect table (§2.7.5.3.1).</summary>
    IndirectNested,
    /// <summary>INDIRECT and NEXT in one descriptor (§2.7.5.3.1).</summary>
    IndirectWithNext,
    /// <summary>An indirect table whose length is 0 or no multiple of 16 (§2.7.5.3).</summary>
    IndirectLength,
    /// <summary>A next field that points outside its indirect table.</summary>
    IndirectNext,
    /// <summary>More descriptors in an indirect table than it has entries: a loop.</summary>
    IndirectLoop,
    /// <summary>More buffers than a request may have here.</summary>
    TooManyBuffers,
    /// <summary>The buffers together have 2^32 bytes or more: §2.7.5 allows no more than 2^32, and used.len cannot tell that many.</summary>
    TooManyBytes,
    /// <summary>The device could not make sense of the request.</summary>
    Rejected,
}

/// <summary>What was wrong with one chain.</summary>
/// <param name="Kind">The rule it broke.</param>
/// <param name="Value">The offending address, length or index.</param>
/// <param name="Reason">The device's own words, when <see cref="Kind"/> is <see cref="ChainFaultKind.Rejected"/>.</param>
public readonly record struct ChainFault(ChainFaultKind Kind, ulong Value, string? Reason = null)
{
    /// <summary>One line for a log.</summary>
    public override string ToString() => Kind switch
    {
        ChainFaultKind.None => "no fault",
        ChainFaultKind.AddressUnmapped => $"a buffer at 0x{Value:x} is not in guest memory",
        ChainFaultKind.UntranslatedRead => $"the IOMMU lets nobody read the buffer at I/O address 0x{Value:x}",
        ChainFaultKind.UntranslatedWrite => $"the IOMMU lets nobody write the buffer at I/O address 0x{Value:x}",
        ChainFaultKind.TooManyTranslations => $"the request needs more than {Value} translations at one time",
        ChainFaultKind.ReadableAfterWritable => $"descriptor {Value} is readable but follows a writable one",
        ChainFaultKind.IndirectNotNegotiated => $"descriptor {Value} is indirect, but INDIRECT_DESC was not negotiated",
        ChainFaultKind.IndirectNested => $"entry {Value} of an indirect table is itself indirect",
        ChainFaultKind.IndirectWithNext => $"descriptor {Value} has both INDIRECT and NEXT",
        ChainFaultKind.IndirectLength => $"an indirect table is {Value} bytes long, which is not a positive multiple of 16",
        ChainFaultKind.IndirectNext => $"next = {Value} points outside its indirect table",
        ChainFaultKind.IndirectLoop => $"an indirect table of {Value} entries loops",
        ChainFaultKind.TooManyBuffers => $"the request has more than {Value} buffers",
        ChainFaultKind.TooManyBytes => $"the request's buffers add up to {Value} bytes, 2^32 or more",
        _ => Reason ?? "the device rejected the request",
    };
}

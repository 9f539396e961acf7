using System.Runtime.CompilerServices;
using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>What a guest can write into its own memory: chains and indices that no driver may make.</summary>
internal static class Chains
{
    private const int Next = 1, Write = 2, Indirect = 4;
    private const ulong Nowhere = 0xDEAD_0000_0000;

    // Descriptors from 40 on are the bad ones: the good requests before and after do not come there.
    private const string Rule = "the request fails, or the ring stops; the daemon serves on.";

    public static CheckCase[] All { get; } =
    [
        Bad("chain-loop", From.Virtio("2.7.5.2: loops in the descriptor chain are forbidden") + "; SPDK CVE-2019-9547", "Descriptors that form a loop", spoilt: true, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, Write | Next, 41);
            ring.SetDescriptor(41, buffer, 64, Write | Next, 40);
            ring.OfferHead(40);
        }),
        Bad("chain-loop-on-itself", From.Virtio("2.7.5.2: loops in the descriptor chain are forbidden"), "A descriptor that is its own next", spoilt: true, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, Next, 40);
            ring.OfferHead(40);
        }),
        Bad("chain-next-out-of-range", From.Virtio("2.7.5: next"), "A next field beyond the table", spoilt: true, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, Write | Next, (ushort)ring.Size);
            ring.OfferHead(40);
        }),
        Bad("chain-next-65535", From.Virtio("2.7.5: next"), "A next field of 65535", spoilt: true, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, Write | Next, 0xFFFF);
            ring.OfferHead(40);
        }),
        Bad("chain-head-out-of-range", From.Virtio("2.7.6: available ring"), "A head beyond the table", spoilt: true, (ring, _) => ring.OfferHead((ushort)ring.Size)),
        Bad("chain-head-65535", From.Virtio("2.7.6: available ring"), "A head of 65535", spoilt: true, (ring, _) => ring.OfferHead(0xFFFF)),
        Bad("chain-buffer-outside", From.Virtio("2.7.5: addr") + "; DPDK CVE-2020-10725", "A buffer outside of memory", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, Nowhere, 64, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-readable-buffer-outside", From.Virtio("2.7.5: addr") + "; DPDK CVE-2020-10725", "A readable buffer outside of memory", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, Nowhere, 16, Next, 41);
            ring.SetDescriptor(41, buffer, 64, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-buffer-at-zero", From.Virtio("2.7.5: addr"), "A buffer at address 0, where there is no memory", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, 0, 64, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-buffer-over-the-end", From.Virtio("2.7.5: len") + "; DPDK CVE-2018-1059", "A buffer that runs over the end of memory", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, ring.Ram.Guest + ring.Ram.Size - 32, 64, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-buffer-wraps", From.Virtio("2.7.5: addr, len"), "A buffer that wraps around all addresses", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, ulong.MaxValue - 10, 64, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-length-ffffffff", From.Virtio("2.7.5: len"), "A buffer of 4 GiB where there are 2 MiB", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 0xFFFFFFFF, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-lengths-overflow", From.Virtio("2.7.5.2: no chain longer than 2^32 bytes in total"), "Lengths that add up to more than 2^32", spoilt: false, (ring, buffer) =>
        {
            for (int i = 40; i < 48; i++)
                ring.SetDescriptor(i, buffer, 0x8000_0000, Write | (i < 47 ? Next : 0), (ushort)(i + 1));
            ring.OfferHead(40);
        }),
        Bad("chain-of-nothing", From.Virtio("2.7.5: len"), "A chain whose buffers have length 0", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 0, Next, 41);
            ring.SetDescriptor(41, buffer, 0, Write);
            ring.OfferHead(40);
        }),
        Bad("chain-readable-only", From.Virtio("5: device operation"), "A chain with nothing to write to", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, 0);
            ring.OfferHead(40);
        }),
        Bad("chain-writable-first", From.Virtio("2.7.4.2: the driver MUST place device-writable elements after device-readable ones"), "A writable buffer before a readable one", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, Write | Next, 41);
            ring.SetDescriptor(41, buffer + 64, 64, 0);
            ring.OfferHead(40);
        }),
        Bad("chain-unknown-flags", From.Virtio("2.7.5: flags"), "Descriptor flags without a meaning", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, 0xFFF0 | Write);
            ring.OfferHead(40);
        }),
        Bad("chain-same-head-twice", From.History("Cloud Hypervisor CVE-2026-45782"), "One head made available three times at once", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, buffer, 64, Write);
            for (int i = 0; i < 3; i++)
                ring.OfferHead(40);
        }),
        Bad("avail-index-jumps", From.Virtio("2.7.13.3"), "An available index further ahead than the ring is long", spoilt: true, (ring, _) => ring.AvailableIndex += (ushort)(ring.Size + 1)),
        Bad("avail-index-jumps-far", From.Virtio("2.7.13.3"), "An available index 32768 ahead", spoilt: true, (ring, _) => ring.AvailableIndex += 0x8000),
        Bad("avail-index-goes-back", From.Virtio("2.7.13.3"), "An available index that goes back", spoilt: true, (ring, _) => ring.AvailableIndex--),
        Bad("indirect-in-indirect", From.Virtio("2.7.5.3.1: the driver MUST NOT set INDIRECT within an indirect descriptor"), "An indirect table in an indirect table", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, ring.IndirectTable, 16, Indirect);
            ring.SetIndirect(0, ring.IndirectTable, 16, Indirect);
            ring.OfferHead(40);
        }),
        Bad("indirect-and-next", From.Virtio("2.7.5.3.1: the driver MUST NOT set both INDIRECT and NEXT"), "A descriptor that is both INDIRECT and NEXT", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, ring.IndirectTable, 16, Indirect | Next, 41);
            ring.SetIndirect(0, buffer, 64, Write);
            ring.SetDescriptor(41, buffer, 64, Write);
            ring.OfferHead(40);
        }),
        IndirectLength("indirect-empty", 0, "An indirect table of 0 bytes"),
        IndirectLength("indirect-odd", 17, "An indirect table of 17 bytes"),
        IndirectLength("indirect-4-gib", 0xFFFFFFF0, "An indirect table of 4 GiB"),
        Bad("indirect-longer-than-ring", From.Virtio("2.7.5.3.1: no chain longer than the queue size"), "An indirect table of 2000 entries, all in use", spoilt: false, (ring, buffer) =>
        {
            // In the buffers' memory, which has room for it.
            for (int i = 0; i < 2000; i++)
                SetRaw(ring, buffer + 16 * (ulong)i, buffer + 0x8000, 1, Write | (i < 1999 ? Next : 0), (ushort)(i + 1));
            ring.SetDescriptor(40, buffer, 2000 * 16, Indirect);
            ring.OfferHead(40);
        }),
        Bad("indirect-outside", From.Virtio("2.7.5.3"), "An indirect table outside of memory", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, Nowhere, 32, Indirect);
            ring.OfferHead(40);
        }),
        Bad("indirect-over-the-end", From.Virtio("2.7.5.3"), "An indirect table that runs over the end of memory", spoilt: false, (ring, _) =>
        {
            ring.SetDescriptor(40, ring.Ram.Guest + ring.Ram.Size - 16, 64, Indirect);
            SetRaw(ring, ring.Ram.Guest + ring.Ram.Size - 16, ring.Buffers, 1, Write | Next, 1);
            ring.OfferHead(40);
        }),
        Bad("indirect-loop", From.Virtio("2.7.5.3"), "An indirect table that loops", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, ring.IndirectTable, 32, Indirect);
            ring.SetIndirect(0, buffer, 64, Write | Next, 1);
            ring.SetIndirect(1, buffer, 64, Write | Next, 0);
            ring.OfferHead(40);
        }),
        Bad("indirect-next-out-of-range", From.Virtio("2.7.5.3"), "A next field beyond its indirect table", spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, ring.IndirectTable, 32, Indirect);
            ring.SetIndirect(0, buffer, 64, Write | Next, 2);
            ring.SetIndirect(2, Nowhere, 64, Write);
            ring.OfferHead(40);
        }),
        new("indirect-not-negotiated", From.Virtio("2.7.5.3.1: only with INDIRECT_DESC negotiated"), $"An indirect table that was not negotiated: {Rule}", bench =>
        {
            Session session = bench.Start(Plan.Usual with { Features = Feature.Version1 });
            session.Serve();
            session.Ring.OfferIndirect(session.Ring.IndirectTable, bench.Requests.Prepare(session.Ram, session.NextRoom()));
            return session.AfterBadChain();
        }, Needs.Ring),
        BadPacked("packed-buffer-outside", "2.8.4", "A buffer outside of memory, in a packed ring", (ring, _) => ring.OfferRaw(Nowhere, 64, Write, 0)),
        BadPacked("packed-chain-without-end", "2.8.6", "A packed chain that never ends", (ring, buffer) =>
        {
            for (int i = 0; i < ring.Size; i++)
                ring.OfferRaw(buffer, 64, Write | Next, 0);
        }),
        BadPacked("packed-id-out-of-range", "2.8.13", "A buffer id of 65535", (ring, buffer) => ring.OfferRaw(buffer, 64, Write, 0xFFFF)),
        BadPacked("packed-indirect-odd", "2.8.7", "An indirect table of 17 bytes, in a packed ring", (ring, _) => ring.OfferRaw(ring.IndirectTable, 17, Indirect, 0)),
    ];

    private static CheckCase IndirectLength(string name, uint length, string what) =>
        Bad(name, From.Virtio("2.7.5.3"), what, spoilt: false, (ring, buffer) =>
        {
            ring.SetDescriptor(40, ring.IndirectTable, length, Indirect);
            ring.SetIndirect(0, buffer, 64, Write | Next, 1);
            ring.OfferHead(40);
        });

    /// <summary>A good request first, then what is bad, then the question whether the daemon serves on.</summary>
    private static CheckCase Bad(string name, string source, string what, bool spoilt, Action<SplitRing, ulong> make) =>
        new(name, source, $"{what}: {Rule}", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            make(session.Split, session.Ring.Buffers);
            return session.AfterBadChain(spoilt);
        }, Needs.Ring);

    private static CheckCase BadPacked(string name, string section, string what, Action<PackedRing, ulong> make) =>
        new(name, From.Virtio(section), $"{what}: {Rule}", bench =>
        {
            bench.NeedFeature(Feature.RingPacked);
            Session session = bench.Start(Plan.Usual with { Features = Feature.Version1 | Feature.RingPacked | Feature.IndirectDesc, Size = 16 });
            session.Serve();
            make((PackedRing)session.Ring, session.Ring.Buffers);
            return session.AfterBadChain(ringIsSpoilt: true);
        }, Needs.Ring);

    private static unsafe void SetRaw(SplitRing ring, ulong at, ulong address, uint length, int flags, ushort next)
    {
        byte* entry = ring.Ram.Pointer(at);
        Unsafe.Write(entry, address);
        Unsafe.Write(entry + 8, length);
        Unsafe.Write(entry + 12, (ushort)flags);
        Unsafe.Write(entry + 14, next);
    }
}

using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Transports.Tracing;

/// <summary>A virtqueue's memory at one moment, in words: a line for every field that is not zero, by area.</summary>
/// <remarks>It takes the ring from memory that both ends share, so it shows a real VMM's ring as well as our own.</remarks>
public sealed class RingPicture
{
    private RingPicture(string format, IReadOnlyList<RingField> fields) => (Format, Fields) = (format, fields);

    /// <summary>"split" or "packed".</summary>
    public string Format { get; }

    /// <summary>What is not zero, in the order of memory.</summary>
    public IReadOnlyList<RingField> Fields { get; }

    /// <summary>Looks at a ring. Torn values are possible where the other end is at work, as with any look from outside.</summary>
    /// <param name="layout">Where it lies.</param>
    /// <param name="isPacked">Its format.</param>
    /// <param name="memory">The memory it lies in.</param>
    public static RingPicture Take(in QueueLayout layout, bool isPacked, DmaArena memory) => isPacked
        ? new("packed", Packed(layout, memory))
        : new("split", Split(layout, memory));

    /// <summary>The fields that are different from what they were, with their section.</summary>
    public IEnumerable<RingField> ChangedSince(RingPicture before)
    {
        Dictionary<(string, string), string> was = before.Fields.ToDictionary(field => (field.Area, field.Name), field => field.Value);
        foreach (RingField field in Fields)
        {
            if (!was.Remove((field.Area, field.Name), out string? old) || old != field.Value)
                yield return field with { Before = old ?? "0" };
        }

        foreach (((string area, string name), string old) in was)
            yield return new RingField(area, name, "0") { Before = old };
    }

    private static List<RingField> Split(in QueueLayout layout, DmaArena memory)
    {
        List<RingField> fields = [];
        ReadOnlySpan<Descriptor> table = Read<Descriptor>(memory, layout.DescriptorArea, layout.Size);
        for (int i = 0; i < table.Length; i++)
        {
            if (table[i].Length != 0)
                fields.Add(new("descriptor table", $"desc[{i}]", Text(table[i].Address, table[i].Length, table[i].Flags, (table[i].Flags & DescriptorFlags.Next) != 0 ? $" next {table[i].Next}" : "")));
        }

        Header("driver area", layout.DriverArea);
        ReadOnlySpan<ushort> available = Read<ushort>(memory, layout.DriverArea, 3 + layout.Size);
        for (int i = 0; i < Math.Min(layout.Size, (int)available[1]); i++)
            fields.Add(new("driver area", $"avail.ring[{i}]", Number(available[2 + i])));
        fields.Add(new("driver area", "used_event", Number(available[2 + layout.Size])));

        Header("device area", layout.DeviceArea);
        ushort used = Read<ushort>(memory, layout.DeviceArea, 2)[1];
        ReadOnlySpan<UsedElement> elements = Read<UsedElement>(memory, layout.DeviceArea.Plus(SplitLayout.RingOffset), layout.Size);
        for (int i = 0; i < Math.Min(layout.Size, (int)used); i++)
            fields.Add(new("device area", $"used.ring[{i}]", string.Create(CultureInfo.InvariantCulture, $"id {elements[i].Id}, len {elements[i].Length}")));
        fields.Add(new("device area", "avail_event", Number(Read<ushort>(memory, layout.DeviceArea.Plus((ulong)SplitLayout.AvailEventOffset(layout.Size)), 1)[0])));
        return fields;

        void Header(string area, GuestAddress at)
        {
            ReadOnlySpan<ushort> head = Read<ushort>(memory, at, 2);
            string prefix = area == "driver area" ? "avail" : "used";
            fields.Add(new(area, prefix + ".flags", Number(head[0])));
            fields.Add(new(area, prefix + ".idx", Number(head[1])));
        }
    }

    private static List<RingField> Packed(in QueueLayout layout, DmaArena memory)
    {
        List<RingField> fields = [];
        ReadOnlySpan<PackedDescriptor> ring = Read<PackedDescriptor>(memory, layout.DescriptorArea, layout.Size);
        for (int i = 0; i < ring.Length; i++)
        {
            if (ring[i].Length != 0 || ring[i].Flags != 0)
                fields.Add(new("descriptor ring", $"desc[{i}]", Text(ring[i].Address, ring[i].Length, ring[i].Flags, $" id {ring[i].Id}")));
        }

        Events("driver area", layout.DriverArea);
        Events("device area", layout.DeviceArea);
        return fields;

        void Events(string area, GuestAddress at)
        {
            ReadOnlySpan<ushort> words = Read<ushort>(memory, at, 2);
            fields.Add(new(area, "desc_event", string.Create(CultureInfo.InvariantCulture, $"off {words[0] & 0x7FFF}, wrap {words[0] >> 15}")));
            fields.Add(new(area, "flags", words[1] switch { 0 => "ENABLE", 1 => "DISABLE", 2 => "DESC", var other => Number(other) }));
        }
    }

    private static ReadOnlySpan<T> Read<T>(DmaArena memory, GuestAddress at, int count)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(memory.Look(at, count * Unsafe.SizeOf<T>()));

    private static string Text(ulong address, uint length, DescriptorFlags flags, string rest) =>
        string.Create(CultureInfo.InvariantCulture, $"0x{address:x} +{length}{(flags == DescriptorFlags.None ? "" : " " + flags.ToString().ToUpperInvariant().Replace(", ", "|", StringComparison.Ordinal))}{rest}");

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A field of a ring.</summary>
/// <param name="Area">Which of the three areas it is in.</param>
/// <param name="Name">The specification's name for it.</param>
/// <param name="Value">What is in it.</param>
public readonly record struct RingField(string Area, string Name, string Value)
{
    /// <summary>What was in it, where that was asked for.</summary>
    public string Before { get; init; } = "";

    /// <inheritdoc/>
    public override string ToString() => Before.Length == 0 ? $"{Name} = {Value}" : $"{Name}: {Before} → {Value}";
}

using VirtioSharp.Check.Guest;

namespace VirtioSharp.Check.Requests;

/// <summary>What a good request to a device is, and how its answer is known to be right.</summary>
internal abstract class DeviceRequests
{
    /// <summary>Guest memory that one request takes.</summary>
    public const int Room = 1024;

    /// <summary>How many descriptors the plain form takes.</summary>
    public abstract int Descriptors { get; }

    /// <summary>Writes a request into guest memory.</summary>
    /// <returns>Its buffers in the plain form: one for each part.</returns>
    public abstract Segment[] Prepare(GuestRegion ram, ulong at);

    /// <summary>Checks the answer; throws <see cref="FailedException"/>.</summary>
    public abstract void Verify(GuestRegion ram, ulong at, uint usedLength);

    /// <summary>The same request with its parts cut into other buffers.</summary>
    public static Segment[] Cut(Segment[] plain, params ReadOnlySpan<int> lengths)
    {
        var pieces = new List<Segment>();
        int which = 0;
        foreach (Segment part in plain)
        {
            for (uint done = 0; done < part.Length;)
            {
                uint length = Math.Min((uint)lengths[which++ % lengths.Length], part.Length - done);
                pieces.Add(new Segment(part.Address + done, length, part.IsWritable));
                done += length;
            }
        }

        return [.. pieces];
    }

    public static DeviceRequests? Of(string? device) => device switch
    {
        "rng" => new RngRequests(),
        "blk" => new BlkRequests(),
        _ => null,
    };
}

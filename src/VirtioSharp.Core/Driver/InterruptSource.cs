namespace VirtioSharp.Core.Driver;

/// <summary>What a device notifies its driver of (§2.3): used buffers of one queue, or a change of configuration space.</summary>
public readonly record struct InterruptSource
{
    private readonly int _number;

    private InterruptSource(int number) => _number = number;

    /// <summary>Nothing: the time ran out. Also the default value.</summary>
    public static InterruptSource None => default;

    /// <summary>Configuration space has changed, or the device needs a reset.</summary>
    public static InterruptSource Configuration { get; } = new(-1);

    /// <summary>Queue <paramref name="index"/> has used buffers.</summary>
    public static InterruptSource Queue(int index) => new(index + 1);

    /// <summary>Whether it is a queue.</summary>
    public bool IsQueue => _number > 0;

    /// <summary>The queue's number; −1 for none and for the configuration.</summary>
    public int QueueIndex => IsQueue ? _number - 1 : -1;

    /// <inheritdoc/>
    public override string ToString() => _number switch { 0 => "none", -1 => "configuration", _ => $"queue {QueueIndex}" };
}

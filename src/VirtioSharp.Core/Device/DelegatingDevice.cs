using System.Buffers;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>A device that passes everything on to another; override what is to be watched or changed on the way.</summary>
/// <param name="inner">The device that does the work. It must not have a host.</param>
public abstract class DelegatingDevice(VirtioDevice inner) : VirtioDevice
{
    /// <inheritdoc/>
    public override DeviceTraits Traits => inner.Traits;

    /// <inheritdoc/>
    public override void OnChain(int queue, scoped ref DeviceChain chain) => inner.OnChain(queue, ref chain);

    /// <inheritdoc/>
    public override void OnStart(FeatureSet features) => inner.OnStart(features);

    /// <inheritdoc/>
    public override void OnStopping(int queue) => inner.OnStopping(queue);

    /// <inheritdoc/>
    public override void OnSuspending(int queue) => inner.OnSuspending(queue);

    /// <inheritdoc/>
    public override void OnReset() => inner.OnReset();

    /// <inheritdoc/>
    public override void ReadConfiguration(int offset, Span<byte> destination) => inner.ReadConfiguration(offset, destination);

    /// <inheritdoc/>
    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source) => inner.WriteConfiguration(offset, source);

    /// <inheritdoc/>
    public override void SaveState(IBufferWriter<byte> state) => inner.SaveState(state);

    /// <inheritdoc/>
    public override void LoadState(ReadOnlySpan<byte> state) => inner.LoadState(state);

    internal override void Attach(IDeviceServices services)
    {
        base.Attach(services);
        inner.Attach(services);
    }
}

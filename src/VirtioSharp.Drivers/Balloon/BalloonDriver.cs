using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>Drives a memory balloon (§5.5): gives pages of the driver's memory to the device and takes them back.</summary>
/// <remarks>
/// One thread. Pages are pieces of the transport's arena, so that nothing else can get into the balloon by mistake.
/// While nothing is to be done, call <see cref="Poll"/>: the device asks for statistics and changes its target when it likes.
/// </remarks>
public sealed partial class BalloonDriver : BoundDevice, IDisposable
{
    private const int MaxFrames = 256; // of one request, as Linux has it

    private readonly BalloonDriverOptions _options;
    private readonly DriverSession _session;
    private readonly PageChannel _inflate, _deflate;
    private readonly PageChannel? _hints, _reports;
    private readonly StatisticsChannel? _statistics;
    private readonly DmaBuffer _frames, _command;
    private readonly HashSet<uint> _balloon = [];
    private readonly Stack<DmaBuffer> _adjusted = []; // what Adjust has put in
    private readonly InterruptSource[] _sources;

    /// <summary>Sets the device up.</summary>
    /// <param name="transport">The way to the device; not disposed.</param>
    /// <param name="options">How to drive it.</param>
    /// <exception cref="TransportException">It is no memory balloon, or it cannot be set up.</exception>
    /// <exception cref="QueueException">It lacks a queue.</exception>
    public BalloonDriver(IDriverTransport transport, BalloonDriverOptions? options = null)
        : this(DriverSession.Open(transport, DeviceId.Balloon, new VirtioBalloon(options).Features), options)
    {
    }

    /// <summary>Takes a device in hand that has been negotiated with, and starts it.</summary>
    /// <inheritdoc cref="BalloonDriver(IDriverTransport, BalloonDriverOptions?)"/>
    /// <param name="session">Up to FEATURES_OK, with the features of <see cref="VirtioBalloon"/>.</param>
    /// <param name="options">How to drive it.</param>
    public BalloonDriver(DriverSession session, BalloonDriverOptions? options = null)
    {
        (_session, _options) = (session, options ?? new BalloonDriverOptions());
        _frames = session.Dma.Allocate(MaxFrames * sizeof(uint));
        _command = session.Dma.Allocate(sizeof(uint));
        BalloonQueues numbers = BalloonQueues.For(_options.QueueNumbers, session.OfferedFeatures);
        _session.EnableQueues([.. numbers.Requests(NegotiatedFeatures)]);
        _inflate = new PageChannel(_session, BalloonLayout.InflateQueue, _options.Timeout);
        _deflate = new PageChannel(_session, BalloonLayout.DeflateQueue, _options.Timeout);
        if (Has(BalloonFeatures.Statistics))
            _statistics = new StatisticsChannel(_session.Queue(numbers.Statistics), session.Dma, _options.Statistics);
        _sources = _statistics is null ? [InterruptSource.Configuration] : [InterruptSource.Configuration, InterruptSource.Queue(numbers.Statistics)];
        if (Has(BalloonFeatures.FreePageHint))
            _hints = new PageChannel(_session, numbers.FreePage, _options.Timeout);
        if (Has(BalloonFeatures.PageReporting))
            _reports = new PageChannel(_session, numbers.Reporting, _options.Timeout);
        TellPoison();
        ReadConfiguration();
        _session.ConfigurationChanged += (_, _) => OnConfigurationChanged();
        _session.Start();
        _statistics?.Start();
    }

    /// <summary>The device wants another number of pages, or hints on free pages, or no more of them. Raised in <see cref="Poll"/>, and while the device is waited for.</summary>
    public event EventHandler? ConfigurationChanged;

    /// <summary>Pages that the device wants in the balloon, as last read. Any number: it is the guest that decides how far to follow.</summary>
    public uint TargetPages { get; private set; }

    /// <summary>Pages that are in it, as the device was last told.</summary>
    public uint ActualPages { get; private set; }

    /// <summary>How often the device got new statistics.</summary>
    public long StatisticsSupplied { get; private set; }

    /// <summary>What was agreed on.</summary>
    public FeatureSet NegotiatedFeatures => _session.NegotiatedFeatures;

    /// <summary>Puts pages into the balloon, and waits until the device has them. They must not be touched any more.</summary>
    /// <param name="pages">Each starts at a multiple of 4096 and is as long as one or more.</param>
    /// <exception cref="ArgumentException">It is no page, or in the balloon already.</exception>
    /// <exception cref="TimeoutException">The device has not answered: the pages are its own until it has.</exception>
    public void Inflate(params ReadOnlySpan<DmaBuffer> pages)
    {
        foreach (DmaBuffer page in pages)
            foreach (uint frame in FramesOf(page))
                if (_balloon.Contains(frame))
                    throw new ArgumentException($"page frame {frame:x} is in the balloon already", nameof(pages));
        Move(_inflate, pages, frame => _balloon.Add(frame));
    }

    /// <summary>Takes pages out of the balloon. What is in them is anything, or the poison.</summary>
    /// <inheritdoc cref="Inflate"/>
    /// <exception cref="ArgumentException">It is not in the balloon.</exception>
    /// <exception cref="InvalidOperationException">The device wants them, and has not allowed to deflate nevertheless (DEFLATE_ON_OOM).</exception>
    public void Deflate(params ReadOnlySpan<DmaBuffer> pages)
    {
        foreach (DmaBuffer page in pages)
            foreach (uint frame in FramesOf(page))
                if (!_balloon.Contains(frame))
                    throw new ArgumentException($"page frame {frame:x} is not in the balloon", nameof(pages));
        if (TargetPages >= ActualPages && !Has(BalloonFeatures.DeflateOnOom))
            throw new InvalidOperationException($"the device wants {TargetPages} pages, the balloon has {ActualPages}: without DEFLATE_ON_OOM none may be used (§5.5.6.1)");
        Move(_deflate, pages, frame => _balloon.Remove(frame));
        foreach (DmaBuffer page in pages)
            Poison(page);
    }

    /// <summary>Moves single pages between <paramref name="free"/> and the balloon until it has what the device wants, or there are no more.</summary>
    /// <returns>How many pages went in, or, negative, came out.</returns>
    public int Adjust(Stack<DmaBuffer> free)
    {
        var batch = new DmaBuffer[MaxFrames];
        uint before = ActualPages;
        while (TargetPages > ActualPages && free.Count > 0)
        {
            int count = (int)Math.Min(Math.Min(TargetPages - ActualPages, (uint)free.Count), MaxFrames);
            for (int i = 0; i < count; i++)
                _adjusted.Push(batch[i] = free.Pop());
            Inflate(batch.AsSpan(0, count));
        }

        while (TargetPages < ActualPages && _adjusted.Count > 0)
        {
            int count = (int)Math.Min(Math.Min(ActualPages - TargetPages, (uint)_adjusted.Count), MaxFrames);
            for (int i = 0; i < count; i++)
                batch[i] = _adjusted.Pop();
            Deflate(batch.AsSpan(0, count));
            for (int i = 0; i < count; i++)
                free.Push(batch[i]);
        }

        return (int)(ActualPages - before);
    }

    /// <summary>Waits for the device to ask for something: statistics are supplied, a change of configuration is read.</summary>
    /// <param name="timeout">The longest to wait; zero only looks.</param>
    /// <returns>Whether it did.</returns>
    /// <exception cref="QueueException">The device broke the statistics queue. It has been reset.</exception>
    public bool Poll(TimeSpan timeout)
    {
        // Both, so that a device which asks for statistics without end does not hide what else it wants.
        bool changed = CheckConfiguration();
        if (ServeStatistics() || changed)
            return true;
        InterruptSource source = _session.Wait(_sources, timeout);
        return source.IsQueue ? ServeStatistics() : source != InterruptSource.None;
    }

    /// <summary>Resets the device. What is in the balloon stays out of use: the device may have dropped it.</summary>
    public void Dispose() => _session.Dispose();

    /// <inheritdoc/>
    protected override void OnFreeze()
    {
        foreach (PageChannel? channel in Channels)
            channel?.Settle();
    }

    /// <summary>The pages stay in the balloon. A device that has been reset may know of none (§2.4), so it is told once more.</summary>
    protected override void OnRestore()
    {
        foreach (PageChannel? channel in Channels)
            channel?.Forget();
        _hintedCommand = BalloonLayout.CommandStop;
        TellPoison();
        _session.Start();
        _statistics?.Restart();
        InflateAgain();
        OnConfigurationChanged();
    }

    private PageChannel?[] Channels => [_inflate, _deflate, _hints, _reports];

    private bool Has(FeatureSet feature) => _session.NegotiatedFeatures.Has(feature);

    private bool ServeStatistics()
    {
        if (_statistics?.Serve() != true)
            return false;
        StatisticsSupplied++;
        return true;
    }

    private bool CheckConfiguration() => _session.Wait([InterruptSource.Configuration], TimeSpan.Zero) != InterruptSource.None;

    private void OnConfigurationChanged()
    {
        ReadConfiguration();
        ConfigurationChanged?.Invoke(this, EventArgs.Empty);
    }

    // Little-endian over a legacy interface, too (§5.5.4): Le32 says so.
    private void ReadConfiguration() => (TargetPages, HintCommand) = _session.ReadConfiguration<(uint, uint)>(fields => (
        fields.Read<Le32>(BalloonConfiguration.TargetOffset),
        Has(BalloonFeatures.FreePageHint) ? fields.Read<Le32>(BalloonConfiguration.CommandOffset) : BalloonLayout.CommandStop));

    /// <summary>Before DRIVER_OK, so that the device knows it with the first page.</summary>
    private void TellPoison()
    {
        if (Has(BalloonFeatures.PagePoison))
            Write(BalloonConfiguration.PoisonOffset, _options.Poison!.Value);
    }

    private void Write(uint offset, uint value) => _session.WriteConfiguration<Le32>(offset, value);
}

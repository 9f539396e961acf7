using System.Buffers;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Devices.Block;

/// <summary>The block device (§5.2): understands requests, refuses those that cannot be, and hands the rest to a back-end.</summary>
/// <remarks>
/// A request's status is the last byte that the driver lets us write, wherever it cut its buffers. Whatever is wrong with
/// a request that has a header and room for a status is told in that byte; the device goes on.
/// </remarks>
public sealed class BlockDevice : VirtioDevice
{
    private const byte StateVersion = 1;

    private readonly IBlockBackend _backend;
    private readonly byte[] _id = new byte[BlockLayout.IdBytes];
    private readonly Stack<BlockOperation> _idle = new();
    private BlockConfiguration _space;
    private bool _canFlush;

    /// <summary>Makes a device of what a back-end holds.</summary>
    /// <param name="backend">Where the bytes are; not disposed.</param>
    /// <param name="options">How it shows itself.</param>
    /// <exception cref="ArgumentException">An option has no meaning.</exception>
    public BlockDevice(IBlockBackend backend, BlockDeviceOptions? options = null)
    {
        options ??= new BlockDeviceOptions();
        BlockSpace.Check(options);
        options = options with { BlockSize = Math.Max(options.BlockSize, backend.Traits.LogicalBlockSize) };
        _backend = backend;
        BlockSpace.WriteId(options.Serial, _id);
        _space = BlockSpace.Of(backend, options);
        Traits = new DeviceTraits(DeviceId.Block, BlockSpace.FeaturesOf(backend, options),
            [.. Enumerable.Range(1, options.QueueCount).Select(i => new QueueTraits($"request{i}", options.QueueSize))])
        {
            ConfigurationSize = BlockConfiguration.Size,
        };
    }

    /// <inheritdoc/>
    public override DeviceTraits Traits { get; }

    /// <summary>Sectors of 512 bytes that the driver sees.</summary>
    public ulong Capacity => _space.Capacity;

    /// <summary>Whether writes are stable only after a flush, as the driver has set it (§5.2.5).</summary>
    public bool IsWriteback => _space.Writeback != 0;

    /// <summary>Whether a completed write may still wait for a flush (§5.2.6.2).</summary>
    private bool IsVolatile => _space.Writeback != 0 && _canFlush;

    /// <summary>The back-end may have another length now: looks, and tells the driver if so. On the host's thread.</summary>
    public void LookAtLength()
    {
        ulong capacity = BlockSpace.CapacityOf(_backend, (int)(uint)_space.BlockSize);
        if (capacity == _space.Capacity)
            return;
        _space = _space with { Capacity = capacity };
        Services.ConfigurationChanged();
    }

    /// <summary>Gives the back-end another length, and tells the driver. On the host's thread.</summary>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentException">These are no whole blocks.</exception>
    /// <exception cref="NotSupportedException">The back-end cannot.</exception>
    /// <exception cref="IOException">It could not be done; the length is what it was.</exception>
    public void Resize(ulong length)
    {
        uint block = _space.BlockSize;
        if (length == 0 || length % block != 0 || length > long.MaxValue)
            throw new ArgumentException($"{length} bytes are no whole number of blocks of {block}");
        _backend.Resize(length);
        LookAtLength();
    }

    /// <inheritdoc/>
    public override void OnStart(FeatureSet features)
    {
        // A driver that knows neither cannot ask for a flush, so nothing may wait for one.
        _canFlush = features.Has(BlockFeatures.Flush) || features.Has(BlockFeatures.ConfigWriteback);
        if (features.Has(BlockFeatures.ConfigWriteback) && !features.Has(BlockFeatures.Flush))
            _space = _space with { Writeback = 0 }; // §5.2.5.2
    }

    /// <inheritdoc/>
    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        if (chain.WritableLeft == 0)
            throw new ChainException("the request has no room for a status");
        Span<byte> raw = stackalloc byte[BlockRequestHeader.Size];
        chain.ReadExactly(raw); // a copy: the driver cannot change what has been checked
        var header = MemoryMarshal.Read<BlockRequestHeader>(raw);
        switch (header.Type)
        {
            case BlockRequestType.In:
                Read(queue, header.Sector, ref chain);
                break;
            case BlockRequestType.Out:
                Write(queue, header.Sector, ref chain);
                break;
            case BlockRequestType.Flush:
                Run(Rent(BlockOperationKind.Flush, queue), ref chain);
                break;
            case BlockRequestType.GetId:
                chain.Write(_id.AsSpan(0, (int)Math.Min(BlockLayout.IdBytes, chain.WritableLeft - 1)));
                Answer(BlockStatus.Ok, ref chain);
                break;
            case BlockRequestType.Discard when Traits.Features.Has(BlockFeatures.Discard):
                ChangeRanges(BlockOperationKind.Discard, queue, _space.MaxDiscardSectors, knownFlags: 0, ref chain);
                break;
            case BlockRequestType.WriteZeroes when Traits.Features.Has(BlockFeatures.WriteZeroes):
                ChangeRanges(BlockOperationKind.WriteZeroes, queue, _space.MaxWriteZeroesSectors, BlockRange.Unmap, ref chain);
                break;
            default:
                Answer(BlockStatus.Unsupported, ref chain);
                break;
        }
    }

    /// <inheritdoc/>
    public override void OnStopping(int queue) => _backend.Finish(queue);

    /// <inheritdoc/>
    public override void OnSuspending(int queue) => _backend.Suspend(queue);

    /// <inheritdoc/>
    public override void ReadConfiguration(int offset, Span<byte> destination) =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<BlockConfiguration>(in _space)).Slice(offset, destination.Length).CopyTo(destination);

    /// <summary>The driver sets writeback; nothing else is its to write.</summary>
    /// <remarks>
    /// It stays through a reset, as §5.2.5 allows: a front-end may show the next driver what it knows of configuration space
    /// without asking again, and a driver that believes its writes to be stable must not be wrong.
    /// </remarks>
    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        int at = (int)BlockConfigurationOffset.Writeback - offset;
        if (!Services.DeviceFeatures.Has(BlockFeatures.ConfigWriteback) || (uint)at >= (uint)source.Length || source[at] > 1)
            return false;
        Span<byte> now = stackalloc byte[BlockConfiguration.Size];
        now = now[..source.Length];
        ReadConfiguration(offset, now);
        now[at] = source[at];
        if (!now.SequenceEqual(source))
            return false;
        _space = _space with { Writeback = source[at] };
        return true;
    }

    /// <inheritdoc/>
    public override void SaveState(IBufferWriter<byte> state) => state.Write([StateVersion, _space.Writeback]);

    /// <inheritdoc/>
    public override void LoadState(ReadOnlySpan<byte> state)
    {
        if (state.Length != 2 || state[0] != StateVersion)
            throw new FormatException($"a disk's state of {state.Length} bytes and version {(state.IsEmpty ? 0 : state[0])}: 2 bytes of version {StateVersion} are known");
        byte writeback = state[1];
        if (writeback > 1 || (writeback != _space.Writeback && !Services.DeviceFeatures.Has(BlockFeatures.ConfigWriteback)))
            throw new FormatException($"writeback = {writeback}: this disk has {_space.Writeback}{(writeback > 1 ? "" : ", and no driver can set it")}");
        _space = _space with { Writeback = writeback };
    }

    /// <summary>A back-end has completed an operation that its request was held for.</summary>
    internal void OnCompleted(BlockOperation operation)
    {
        if (Advance(operation) is not { } status || operation.Chain is not { } held)
            return;
        if (held.IsPending)
        {
            DeviceChain chain = held.Open();
            chain.Write([(byte)status]);
            held.Complete(chain.Written);
        }

        _idle.Push(operation);
    }

    /// <summary>A back-end has given an operation up: its chain stays in flight, for another to serve.</summary>
    internal void OnAbandoned(BlockOperation operation) => _idle.Push(operation);

    private void Read(int queue, ulong sector, scoped ref DeviceChain chain)
    {
        uint bytes = chain.WritableLeft - 1;
        if (!Covers(sector, bytes))
        {
            Answer(BlockStatus.IoError, ref chain);
            return;
        }

        BlockOperation operation = Rent(BlockOperationKind.Read, queue);
        operation.At((long)sector * BlockLayout.SectorBytes);
        while (bytes > 0 && chain.TryNextWritable(out Span<byte> room))
        {
            room = room[..(int)Math.Min((uint)room.Length, bytes)];
            operation.Add(room);
            chain.Advance(room.Length);
            bytes -= (uint)room.Length;
        }

        Run(operation, ref chain);
    }

    private void Write(int queue, ulong sector, scoped ref DeviceChain chain)
    {
        if (Traits.Features.Has(BlockFeatures.ReadOnly) || !Covers(sector, chain.ReadableLeft))
        {
            Answer(BlockStatus.IoError, ref chain); // §5.2.6.2, if read-only
            return;
        }

        BlockOperation operation = Rent(BlockOperationKind.Write, queue);
        operation.At((long)sector * BlockLayout.SectorBytes);
        while (chain.TryNextReadable(out ReadOnlySpan<byte> bytes))
            operation.Add(bytes);
        Run(operation, ref chain);
    }

    /// <summary>DISCARD and WRITE_ZEROES: every range is checked before the first is done.</summary>
    private void ChangeRanges(BlockOperationKind kind, int queue, uint mostSectors, uint knownFlags, scoped ref DeviceChain chain)
    {
        if (chain.ReadableLeft % BlockRange.Size != 0 || chain.ReadableLeft / BlockRange.Size is < 1 or > BlockOperation.MaxRanges)
        {
            Answer(BlockStatus.IoError, ref chain);
            return;
        }

        BlockOperation operation = Rent(kind, queue);
        Span<byte> raw = stackalloc byte[BlockRange.Size];
        while (chain.ReadableLeft > 0)
        {
            chain.ReadExactly(raw);
            var range = MemoryMarshal.Read<BlockRange>(raw);
            BlockStatus fault = (range.Flags & ~knownFlags) != 0 ? BlockStatus.Unsupported
                : range.Count > mostSectors || !Covers(range.Sector, (ulong)range.Count * BlockLayout.SectorBytes) ? BlockStatus.IoError
                : BlockStatus.Ok;
            if (fault != BlockStatus.Ok)
            {
                _idle.Push(operation);
                Answer(fault, ref chain);
                return;
            }

            if (range.Count > 0)
                operation.Add(range);
        }

        if (operation.MoveToNextRange())
        {
            Run(operation, ref chain);
            return;
        }

        _idle.Push(operation);
        Answer(BlockStatus.Ok, ref chain);
    }

    /// <summary>Hands a request to the back-end, and keeps its chain if that takes its time.</summary>
    private void Run(BlockOperation operation, scoped ref DeviceChain chain)
    {
        SkipToStatus(ref chain);
        if (operation.Kind is BlockOperationKind.Read or BlockOperationKind.Write && operation.Length == 0)
            operation.Ended = BlockStatus.Ok;
        else
            Submit(operation);
        if (Advance(operation) is not { } status)
        {
            operation.Chain = chain.Hold();
            return;
        }

        chain.Write([(byte)status]);
        _idle.Push(operation);
    }

    /// <summary>Goes on with an operation that has ended, as far as that is possible now.</summary>
    /// <returns>How the request ended; null when the back-end is still busy with it.</returns>
    private BlockStatus? Advance(BlockOperation operation)
    {
        while (operation.Ended is { } status)
        {
            if (status != BlockStatus.Ok || !operation.MoveToNextRange())
                return status;
            Submit(operation);
        }

        return null;
    }

    private void Submit(BlockOperation operation)
    {
        operation.IsBeingSubmitted = true;
        _backend.Submit(operation);
        operation.IsBeingSubmitted = false;
    }

    private BlockOperation Rent(BlockOperationKind kind, int queue)
    {
        if (!_idle.TryPop(out BlockOperation? operation))
            operation = new BlockOperation(this);
        operation.Begin(kind, queue, mustBeStable: !IsVolatile);
        return operation;
    }

    /// <summary>Whether it is whole sectors and ends within the device; in this form it cannot overflow.</summary>
    private bool Covers(ulong sector, ulong bytes)
    {
        ulong sectors = bytes / BlockLayout.SectorBytes;
        return bytes % BlockLayout.SectorBytes == 0 && sectors <= Capacity && sector <= Capacity - sectors;
    }

    private static void Answer(BlockStatus status, scoped ref DeviceChain chain)
    {
        SkipToStatus(ref chain);
        chain.Write([(byte)status]);
    }

    /// <summary>Goes to the last writable byte. What lies before counts as written, so that the driver may look at the status behind it (§2.7.8.2).</summary>
    private static void SkipToStatus(scoped ref DeviceChain chain)
    {
        for (uint left = chain.WritableLeft - 1; left > 0 && chain.TryNextWritable(out Span<byte> room);)
        {
            int piece = (int)Math.Min((uint)room.Length, left);
            chain.Advance(piece);
            left -= (uint)piece;
        }
    }
}

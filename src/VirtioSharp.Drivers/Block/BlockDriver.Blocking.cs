using System.Text;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

// Calls that wait: each is cut into requests that the device takes, several of them in flight.
public sealed partial class BlockDriver
{
    private readonly BlockDriverOptions _options;
    private readonly DmaBuffer _copy;
    private readonly BlockResult[] _waiting; // results of submitted requests that came while a call waited
    private int _firstWaiting, _waitingCount;
    private int _blocking; // requests of calls that are in flight
    private BlockResult? _failure;
    private bool? _writeback; // as the caller wanted it: a reset switches it back

    /// <summary>Whether completed writes wait in a cache for <see cref="Flush"/> (§5.2.5.1).</summary>
    public bool IsWriteback => Properties.CanSetWriteback ? _session.ReadConfiguration<byte>(BlockConfigurationOffset.Writeback) != 0 : Properties.CanFlush;

    /// <summary>Reads sectors.</summary>
    /// <param name="sector">The first, in units of 512 bytes.</param>
    /// <param name="destination">A multiple of 512 bytes, of any length.</param>
    /// <exception cref="BlockException">A request failed. What is in <paramref name="destination"/> is anything.</exception>
    /// <exception cref="TimeoutException">The device did not answer.</exception>
    /// <exception cref="DeviceException">The device needs a reset.</exception>
    public void Read(ulong sector, Span<byte> destination)
    {
        Begin(BlockRequestType.In, sector, destination.Length);
        while (destination.Length > 0)
        {
            int bytes = Math.Min(destination.Length, _copy.Length);
            Transfer(sector, bytes, BlockRequest.Read);
            _copy.Span[..bytes].CopyTo(destination);
            destination = destination[bytes..];
            sector += (ulong)bytes / BlockLayout.SectorBytes;
        }
    }

    /// <summary>Writes sectors. They are safe after <see cref="Flush"/>, not before, if <see cref="IsWriteback"/>.</summary>
    /// <inheritdoc cref="Read"/>
    /// <param name="sector">The first, in units of 512 bytes.</param>
    /// <param name="source">A multiple of 512 bytes, of any length.</param>
    /// <exception cref="NotSupportedException">The device is read-only.</exception>
    public void Write(ulong sector, ReadOnlySpan<byte> source)
    {
        Begin(BlockRequestType.Out, sector, source.Length);
        while (source.Length > 0)
        {
            int bytes = Math.Min(source.Length, _copy.Length);
            source[..bytes].CopyTo(_copy.Span);
            Transfer(sector, bytes, BlockRequest.Write);
            source = source[bytes..];
            sector += (ulong)bytes / BlockLayout.SectorBytes;
        }
    }

    /// <summary>Makes completed writes stable. A device without FLUSH has nothing to make stable.</summary>
    /// <inheritdoc cref="Read"/>
    public void Flush()
    {
        if (!Properties.CanFlush)
            return;
        Drain();
        Call(BlockRequest.Flush());
        Finish();
    }

    /// <summary>Says that sectors are not needed any more. What they read afterwards is anything.</summary>
    /// <inheritdoc cref="Read"/>
    /// <exception cref="NotSupportedException">The device has no DISCARD.</exception>
    public void Discard(ulong sector, ulong sectors)
    {
        Begin(BlockRequestType.Discard, sector, sectors);
        while (sectors > 0)
        {
            uint count = FirstPart(sector, sectors, Properties.MaxDiscardSectors, Properties.DiscardAlignment);
            Call(BlockRequest.Discard(sector, count));
            (sector, sectors) = (sector + count, sectors - count);
        }

        Finish();
    }

    /// <summary>Makes sectors read zero, and lets the device deallocate them if <paramref name="mayUnmap"/>.</summary>
    /// <inheritdoc cref="Read"/>
    /// <exception cref="NotSupportedException">The device has no WRITE_ZEROES.</exception>
    public void WriteZeroes(ulong sector, ulong sectors, bool mayUnmap = false)
    {
        Begin(BlockRequestType.WriteZeroes, sector, sectors);
        while (sectors > 0)
        {
            uint count = FirstPart(sector, sectors, Properties.MaxWriteZeroesSectors, 1);
            Call(BlockRequest.WriteZeroes(sector, count, mayUnmap));
            (sector, sectors) = (sector + count, sectors - count);
        }

        Finish();
    }

    /// <summary>The device's id string: up to 20 characters.</summary>
    /// <inheritdoc cref="Read"/>
    public string ReadId()
    {
        Drain();
        DmaBuffer data = _copy.Slice(0, BlockLayout.IdBytes);
        Call(BlockRequest.GetId(data));
        Finish();
        ReadOnlySpan<byte> id = data.Span;
        int end = id.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? id : id[..end]);
    }

    /// <summary>Switches the cache. Switching it off makes nothing stable that was written before (§5.2.6.1).</summary>
    /// <exception cref="NotSupportedException">It cannot be switched.</exception>
    public void SetWriteback(bool on)
    {
        if (!Properties.CanSetWriteback)
            throw new NotSupportedException("the device does not offer CONFIG_WCE");
        WriteWriteback(on);
        _writeback = on;
    }

    private void WriteWriteback(bool on) => _session.WriteConfiguration(BlockConfigurationOffset.Writeback, on ? (byte)1 : (byte)0);

    private void Begin(BlockRequestType type, ulong sector, int bytes)
    {
        if (bytes % BlockLayout.SectorBytes != 0)
            throw new ArgumentOutOfRangeException(nameof(bytes), $"{type} of {bytes} bytes: a sector has {BlockLayout.SectorBytes}");
        Begin(type, sector, (ulong)bytes / BlockLayout.SectorBytes);
    }

    /// <summary>Refuses a call that cannot be before a part of it is done.</summary>
    private void Begin(BlockRequestType type, ulong sector, ulong sectors)
    {
        Drain();
        BlockProperties.CheckRange(type, sector, sectors, Capacity);
    }

    private void Transfer(ulong sector, int bytes, Func<ulong, DmaBuffer, BlockRequest> make)
    {
        int length;
        for (int at = 0; at < bytes; at += length)
        {
            length = Math.Min(bytes - at, Properties.MaxRequestBytes);
            Call(make(sector + (ulong)at / BlockLayout.SectorBytes, _copy.Slice(at, length)));
        }

        Finish();
    }

    private static uint FirstPart(ulong sector, ulong sectors, uint most, uint alignment)
    {
        if (sectors <= most)
            return (uint)sectors;
        ulong end = sector + most;
        ulong aligned = end - end % alignment;
        return (uint)((aligned > sector ? aligned : end) - sector);
    }

    /// <summary>Adds one request of a call, and waits for room.</summary>
    private void Call(in BlockRequest request)
    {
        Properties.Check(request, Capacity);
        while (!Submit(request, isBlocking: true, AnyQueue, out _))
        {
            Kick();
            Await();
        }

        _blocking++;
    }

    /// <summary>Waits for all requests of a call.</summary>
    private void Finish()
    {
        Kick();
        while (_blocking > 0)
            Await();
        if (_failure is not { } failure)
            return;
        _failure = null;
        failure.ThrowIfFailed();
    }

    /// <summary>Waits for what an earlier call left behind when its time ran out: the device may still write to the memory that calls copy through.</summary>
    private void Drain()
    {
        _session.ThrowIfBroken();
        Kick();
        while (_blocking > 0)
            Await();
        _failure = null;
    }

    private void Await()
    {
        if (!Collect() && _session.Wait(_options.Timeout) == InterruptSource.None)
            throw new TimeoutException($"the device has not answered within {_options.Timeout.TotalSeconds} s");
    }

    private bool Collect()
    {
        bool any = false;
        foreach (BlockQueue queue in _queues)
        {
            for (; queue.TryTake(out BlockResult result, out bool isBlocking); any = true)
                Sort(queue, result, isBlocking);
        }

        return any;
    }

    /// <summary>A result is its call's, or waits for who submitted the request.</summary>
    private void Sort(BlockQueue queue, in BlockResult result, bool isBlocking)
    {
        if (!isBlocking)
        {
            // There is room: a slot is not given to another request before its result is taken.
            _waiting[(_firstWaiting + _waitingCount++) % _waiting.Length] = result;
            return;
        }

        queue.Release(result.Token);
        _blocking--;
        if (!result.IsDone)
            _failure ??= result;
    }
}

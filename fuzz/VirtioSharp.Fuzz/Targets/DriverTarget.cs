using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A driver's ring or queue against a device that writes whatever it likes, whenever it likes.</summary>
/// <remarks>
/// The input is a program: add, publish, get, wait and, in between, what the device writes. A model of what is in flight
/// stands beside it. At the end an honest device uses all that is in flight, and the driver must give it all out.
/// </remarks>
#pragma warning disable CA1001 // the arena and the transport are over memory that lives as long as the process
internal sealed class DriverTarget<TRing> : ITarget
#pragma warning restore CA1001
    where TRing : struct, IDriverRing<TRing>
{
    private const int Bytes = 0x6000;
    private const int MostBuffers = 20;

    private sealed record Chain(ushort Id, int Slots, ulong Room);

    private static readonly bool IsPacked = typeof(TRing) == typeof(Core.Queues.Packed.PackedDriverRing);

    private readonly GuardedMemory _memory = new(Bytes);
    private readonly Input _input = new();
    private readonly DmaBuffer[] _pieces = new DmaBuffer[MostBuffers];
    private readonly List<Chain> _inFlight = []; // oldest first
    private TRing _ring;
    private DriverQueue<TRing>? _queue; // instead of the ring, when the input wants one
    private FuzzTransport _transport = null!;
    private QueueLayout _layout;
    private DmaArena _arena = null!;
    private int _allocated;
    private int _size;
    private bool _inOrder;
    private bool _indirect;
    private int _free;
    private int _published;      // of _inFlight, from the front
    private ushort _taken;       // chains, modulo 2^16
    private int _used;           // packed: where the device writes next
    private bool _usedWrap;
    private bool _broken;

    public DriverTarget(string name) => Name = name;

    public string Name { get; }

    public int MaxLength => 1024;

    public void Run(ReadOnlySpan<byte> bytes)
    {
        Begin(bytes);
        while (!_input.IsEmpty && !_broken)
            Step();
        if (_broken)
            StaysBroken();
        else
            EndHonestly();
        FindingException.Unless(!_memory.Bytes[_allocated..].ContainsAnyExcept((byte)0), "the driver wrote behind what it allocated");
    }

    private void Begin(ReadOnlySpan<byte> bytes)
    {
        _input.Start(bytes);
        _memory.Bytes.Clear();
        _inFlight.Clear();
        (_published, _taken, _used, _usedWrap, _broken) = (0, 0, 0, true, false);

        byte how = _input.Byte();
        int size = _input.Byte();
        _size = _free = IsPacked ? 1 + size % 33 : 1 << size % 6;
        (_indirect, _inOrder) = ((how & 1) != 0, (how & 4) != 0);
        var options = new QueueOptions(_indirect, EventIdx: (how & 2) != 0, InOrder: _inOrder);
        _arena = new DmaArena(new MemoryRegion(new GuestAddress(0x1_0000_0000), Bytes, _memory.Start));
        _transport = new FuzzTransport(_arena, WaitForInterrupt);
        if ((how & 8) != 0)
        {
            _queue = new DriverQueue<TRing>(_transport, 0, _size, options);
            _layout = _queue.Layout;
        }
        else
        {
            _queue = null;
            _ring = TRing.Create(_size, _arena, options);
            _layout = _ring.Layout;
        }

        DmaBuffer buffer = _arena.Allocate(256);
        for (int i = 0; i < _pieces.Length; i++)
            _pieces[i] = buffer.Slice(i, 1 + 11 * i);
        _allocated = (int)(buffer.Address.Value - _arena.Region.Start.Value) + buffer.Length;
    }

    private void Step()
    {
        switch (_input.Byte() % 16)
        {
            case 0 or 1:
                Add();
                break;
            case 2:
                Publish();
                break;
            case 3:
                Get();
                break;
            case 4:
                while (!_broken && Get())
                {
                }

                break;
            case 5:
                if (_queue is null)
                    _ring.SuppressInterrupts();
                break;
            case 6:
                if (_queue is null)
                    _ring.RearmInterrupts();
                break;
            case 7:
                Wait();
                break;
            default:
                Misbehave();
                break;
        }
    }

    private void Add()
    {
        int shape = _input.Byte();
        int readable = shape & 7, writable = shape >> 3 & 15;
        if (readable + writable == 0)
            writable = 1;
        if (shape >> 7 != 0)
            readable = Math.Min(MostBuffers - writable, readable + 8);
        int count = readable + writable;
        ulong room = 0;
        for (int i = 0; i < writable; i++)
            room += (ulong)_pieces[i].Length;
        int slots = _indirect && count is > 1 and <= 16 ? 1 : count;

        ReadOnlySpan<DmaBuffer> first = _pieces.AsSpan(0, readable), second = _pieces.AsSpan(0, writable);
        bool added = _queue is not null ? _queue.TryAdd(first, second, out ushort id) : _ring.TryAdd(first, second, out id);
        FindingException.Unless(added == slots <= _free, $"add of {slots} descriptors said {added} though {_free} are free");
        if (!added)
            return;
        FindingException.Unless(id < _size, $"id {id} is not below the size {_size}");
        FindingException.Unless(!_inFlight.Exists(chain => chain.Id == id), $"id {id} was given out although it is in flight");
        _inFlight.Add(new Chain(id, slots, room));
        _free -= slots;
        CheckFree();
    }

    private void Publish()
    {
        if (_queue is not null)
            _queue.Kick();
        else
            _ring.Publish();
        _published = _inFlight.Count;
    }

    private bool Get()
    {
        try
        {
            if (!(_queue is not null ? _queue.TryGet(out ushort id, out uint length) : _ring.TryGet(out id, out length)))
                return false;
            Took(id, length);
            return true;
        }
        catch (QueueException)
        {
            _broken = true;
            return false;
        }
    }

    private void Wait()
    {
        if (_queue is null)
            return;
        try
        {
            if (_queue.Wait(TimeSpan.FromMilliseconds(_input.Byte()), out ushort id, out uint length))
                Took(id, length);
        }
        catch (QueueException)
        {
            _broken = true;
        }
    }

    private void Took(ushort id, uint length)
    {
        int at = _inFlight.FindIndex(chain => chain.Id == id);
        FindingException.Unless(at >= 0, $"chain {id} came out, which is not in flight");
        FindingException.Unless(at < _published, $"chain {id} came out before it was published");
        FindingException.Unless(!_inOrder || at == 0, $"chain {id} came out of order");
        Chain chain = _inFlight[at];
        FindingException.Unless(length <= chain.Room, $"chain {id} of {chain.Room} bytes came out with {length}");
        _inFlight.RemoveAt(at);
        _published--;
        _taken++;
        _free += chain.Slots;
        _used += chain.Slots;
        if (_used >= _size)
            (_used, _usedWrap) = (_used - _size, !_usedWrap);
        CheckFree();
    }

    private void CheckFree() =>
        FindingException.Unless(_free <= _size && (_queue is not null || _ring.Free == _free), $"{(_queue is null ? _ring.Free : _free)} descriptors of {_size} are free, but should be {_free}");

    /// <summary>While the driver waits the device goes on.</summary>
    private bool WaitForInterrupt()
    {
        if (_input.IsEmpty)
            return false;
        Misbehave();
        return _input.Bit();
    }

    /// <summary>One thing that the device writes.</summary>
    private void Misbehave()
    {
        switch (_input.Byte() % 8)
        {
            case 0 or 1: // as it should be
                if (_published > 0)
                    Use(_inFlight[_inOrder ? 0 : _input.Below(_published)], _taken, _used, _usedWrap, _input.Byte());
                break;
            case 2: // an element that may be anything, where the driver looks next
                UseAnything();
                break;
            case 3:
                if (!IsPacked)
                    Word(_layout.DeviceArea, SplitLayout.IndexOffset) = (ushort)(_taken + (sbyte)_input.Byte());
                break;
            case 4:
                Word(_layout.DeviceArea, 2 * _input.Below(IsPacked ? 2 : SplitLayout.DeviceAreaBytes(_size) / 2)) = _input.Word();
                break;
            case 5:
                Word(_layout.DescriptorArea, 2 * _input.Below(8 * _size)) = _input.Word();
                break;
            case 6:
                Word(_layout.DriverArea, 2 * _input.Below(IsPacked ? 2 : SplitLayout.DriverAreaBytes(_size) / 2)) = _input.Word();
                break;
            default: // many bytes anywhere
                int at = _input.Below(_allocated);
                for (int left = Math.Min(_input.Below(64), _allocated - at); left > 0; left--)
                    _memory.Bytes[at++] = _input.Byte();
                break;
        }
    }

    private void UseAnything()
    {
        uint id = _input.Bit() ? _input.Double() : _input.Byte();
        uint length = _input.Bit() ? _input.Double() : _input.Byte();
        if (!IsPacked)
        {
            ushort index = (ushort)(_taken + _input.Below(4));
            WriteElement(index, id, length);
            Word(_layout.DeviceArea, SplitLayout.IndexOffset) = (ushort)(index + 1);
            return;
        }

        WritePacked(_used, (ushort)id, length, PackedLayout.UsedFlags(_input.Below(8) == 0 ? !_usedWrap : _usedWrap));
    }

    private void Use(Chain chain, ushort index, int at, bool wrap, uint length)
    {
        if (IsPacked)
        {
            WritePacked(at, chain.Id, length, PackedLayout.UsedFlags(wrap));
            return;
        }

        WriteElement(index, chain.Id, length);
        Word(_layout.DeviceArea, SplitLayout.IndexOffset) = (ushort)(index + 1);
    }

    private void WriteElement(ushort index, uint id, uint length)
    {
        Span<byte> entry = At(_layout.DeviceArea, SplitLayout.RingOffset + 8 * (index & (_size - 1)), 8);
        BinaryPrimitives.WriteUInt32LittleEndian(entry, id);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], length);
    }

    private void WritePacked(int at, ushort id, uint length, DescriptorFlags flags)
    {
        Span<byte> entry = At(_layout.DescriptorArea, PackedDescriptor.Size * at, PackedDescriptor.Size);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[12..], id);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[14..], (ushort)flags);
    }

    /// <summary>A queue that was lied to does not believe anything any more, and has reset the device.</summary>
    private void StaysBroken()
    {
        if (_queue is null)
            return;
        FindingException.Unless(_transport.Resets == 1, $"a broken queue reset its device {_transport.Resets} times");
        try
        {
            _queue.TryGet(out _, out _);
        }
        catch (QueueException)
        {
            return;
        }

        throw new FindingException("a broken queue was asked again, and answered");
    }

    /// <summary>From now on the device keeps the rules: all that is in flight comes out, and all descriptors are free.</summary>
    private void EndHonestly()
    {
        Publish();
        NothingUsed();
        while (!_broken && Get()) // what is left of an IN_ORDER batch, which was believed before
            NothingUsed();
        FindingException.Unless(!_broken, "the queue broke although nothing new was used");

        int left = _inFlight.Count;
        for (; left > 0; left--)
        {
            Chain chain = _inFlight[0];
            Use(chain, _taken, _used, _usedWrap, uint.MaxValue);
            FindingException.Unless(Get(), $"chain {chain.Id} was used, and did not come out: the driver is stuck");
            FindingException.Unless(!_inFlight.Contains(chain), $"chain {chain.Id} was used, and another came out");
            NothingUsed();
        }

        FindingException.Unless(!Get() && !_broken && _free == _size, "descriptors are lost");
    }

    private void NothingUsed()
    {
        if (!IsPacked)
        {
            Word(_layout.DeviceArea, SplitLayout.IndexOffset) = _taken;
            return;
        }

        for (int at = 0; at < _size; at++)
            WritePacked(at, 0, 0, PackedLayout.AvailableFlags(_usedWrap));
    }

    private ref ushort Word(GuestAddress area, int offset) => ref MemoryMarshal.AsRef<ushort>(At(area, offset, 2));

    private Span<byte> At(GuestAddress area, int offset, int length) =>
        _memory.Bytes.Slice((int)(area.Value - _arena.Region.Start.Value) + offset, length);
}

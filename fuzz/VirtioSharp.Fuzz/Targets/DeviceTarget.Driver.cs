using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>What the driver writes.</summary>
internal sealed partial class DeviceTarget
{
    private const ulong Data = GuestMap.Main + 0x2800;

    /// <summary>One to eight descriptors, whose links are as they should be.</summary>
    private void OfferChain()
    {
        byte shape = _input.Byte();
        int count = 1 + (shape & 7);
        int readable = shape >> 3 & 7;
        ushort head = (ushort)(shape >> 6 != 0 ? _input.Below(_size) : _ring.Next % _size);
        for (int i = 0; i < count; i++)
        {
            (ulong address, uint length, _) = Buffer();
            DescriptorFlags flags = i >= readable ? DescriptorFlags.Write : DescriptorFlags.None;
            if (i + 1 < count)
                flags |= DescriptorFlags.Next;
            _ring.Put(head, i, address, length, flags);
        }

        _ring.Show(head);
    }

    /// <summary>The same descriptor once, or as often as the queue has entries and once more.</summary>
    private void OfferMany()
    {
        ushort head = (ushort)_input.Below(_size + 1);
        var descriptor = Descriptor();
        for (int left = _input.Bit() ? _input.Below(_size + 2) : 1; left > 0; left--)
            _ring.Offer(head, descriptor, 0);
    }

    /// <summary>A table of one to eight entries, and a descriptor that points at it.</summary>
    private void OfferTable()
    {
        byte shape = _input.Byte();
        int count = 1 + (shape & 7);
        ulong address = shape >> 6 != 0 ? Address() : Data + 0x100u * (uint)_input.Below(16);
        bool isRight = (shape & 8) != 0;
        for (int i = 0; i < count; i++)
        {
            (ulong buffer, uint length, DescriptorFlags flags) = isRight ? Buffer() : Descriptor();
            Span<byte> entry = _memory.At(address + 16u * (uint)i, 16);
            if (!entry.IsEmpty)
                _ring.WriteEntry(entry, buffer, length, isRight && i + 1 < count ? flags | DescriptorFlags.Next : flags, isRight ? (ushort)(i + 1) : _input.Word());
        }

        uint bytes = (shape & 16) != 0 ? Length() : 16u * (uint)count;
        DescriptorFlags more = (shape & 32) != 0 ? (DescriptorFlags)(_input.Byte() & 3) : DescriptorFlags.None;
        _ring.Offer((ushort)(_ring.Next % _size), (address, bytes, DescriptorFlags.Indirect | more), 0);
    }

    private void PokeDescriptor()
    {
        (ulong address, uint length, DescriptorFlags flags) = Descriptor();
        Span<byte> entry = _memory.At(_ring.Layout.DescriptorArea.Value + 16u * (uint)_input.Below(_ring.Layout.Size), 16);
        if (!entry.IsEmpty)
            _ring.WriteEntry(entry, address, length, flags, _input.Bit() ? _input.Word() : (ushort)_input.Below(_size + 1));
    }

    private void PokeDriverArea()
    {
        int words = _isPacked ? 2 : SplitLayout.DriverAreaBytes(_ring.Layout.Size) / 2;
        int word = _input.Below(words);
        ushort value = _input.Bit() ? _input.Word() : (ushort)(_ring.Next + (sbyte)_input.Byte());
        Write(_ring.Layout.DriverArea.Value + 2u * (uint)word, value);
    }

    private void PokeAnything()
    {
        ulong address = Address();
        for (int left = _input.Below(33); left >= 0; left--, address++)
        {
            Span<byte> one = _memory.At(address, 1);
            byte value = _input.Byte();
            if (!one.IsEmpty)
                one[0] = value;
        }
    }

    private void Write(ulong address, ushort value)
    {
        Span<byte> word = _memory.At(address, 2);
        if (!word.IsEmpty)
            BitConverter.TryWriteBytes(word, value);
    }

    /// <summary>A buffer that may well be good.</summary>
    private (ulong Address, uint Length, DescriptorFlags Flags) Buffer()
    {
        byte how = _input.Byte();
        return (how & 7) == 7
            ? (Address(), Length(), (DescriptorFlags)(how >> 3 & 2))
            : (Data + 16u * (uint)how, 8u * (uint)(how & 7), (DescriptorFlags)(how >> 3 & 2));
    }

    /// <summary>A descriptor that may say anything.</summary>
    private (ulong Address, uint Length, DescriptorFlags Flags) Descriptor()
    {
        byte flags = _input.Byte();
        return (Address(), Length(), flags >= 0xF8 ? (DescriptorFlags)_input.Word() : (DescriptorFlags)(flags & 7));
    }

    private ulong Address() => (_input.Byte() & 15) switch
    {
        0 or 1 or 2 => Data + 16u * _input.Byte(),
        3 => GuestMap.Main + _input.Word() % GuestMap.MainLength,
        4 => GuestMap.Neighbour - _input.Byte(),
        5 => GuestMap.Neighbour + 0x1000 - _input.Byte(),
        6 => ulong.MaxValue - _input.Byte(),
        7 => _input.Byte(),
        8 => GuestMap.Huge + _input.Double(),
        9 => GuestMap.Huge,
        10 => _ring.Layout.DescriptorArea.Value + 16u * _input.Byte(),
        11 => _ring.Layout.DriverArea.Value + _input.Byte(),
        12 => _ring.Layout.DeviceArea.Value + _input.Byte(),
        13 => GuestMap.Top + _input.Word() % 0x1000u,
        14 => 0x1000ul - _input.Byte(),
        _ => _input.Quad(),
    };

    private uint Length() => (_input.Byte() & 7) switch
    {
        0 => 16,
        1 => _input.Byte(),
        2 => 16u * _input.Byte(),
        3 => _input.Word(),
        4 => 0,
        5 => uint.MaxValue - _input.Byte(),
        6 => 0x1000,
        _ => _input.Double(),
    };

    private QueueLayout AnyLayout()
    {
        byte how = _input.Byte();
        int size = (how & 3) switch
        {
            0 => _size,
            1 => _input.Word(),
            2 => 1 << (how >> 2 & 15),
            _ => how >> 2,
        };
        if ((how & 0x40) == 0)
            return DefaultLayout with { Size = size };
        return new QueueLayout(size, new GuestAddress(Area()), new GuestAddress(Area()), new GuestAddress(Area()));
    }

    /// <summary>A ring may lie anywhere; mostly aligned.</summary>
    private ulong Area() => Address() & ~(_input.Bit() ? 0ul : 15ul);
}

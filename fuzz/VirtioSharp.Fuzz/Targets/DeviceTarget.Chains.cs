using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Fuzz.Engine;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>What the device does with its chains.</summary>
internal sealed partial class DeviceTarget
{
    private const int MostBytes = 16;
    private const byte Filling = 0x5A;

    private void Serve(scoped ref DeviceChain chain)
    {
        _reached++;
        FindingException.Unless((ulong)chain.ReadableLeft + chain.WritableLeft <= uint.MaxValue, "a chain has 2^32 bytes or more");
        switch (_isGood ? 0 : _input.Byte() % 18)
        {
            case 4:
                WriteEverywhere(ref chain);
                break;
            case 5:
                _held.Add(chain.Hold());
                break;
            case 6:
                chain.Postpone();
                _reached--;
                _postponed++;
                break;
            case 7:
                throw new ChainException("planned");
            case 8:
                throw new DeviceException("planned");
            case 9:
                throw new PlannedException();
            case 10:
                _held.Add(chain.Hold());
                throw new ChainException("planned");
            case 11:
                PendingChain held = chain.Hold();
                held.Complete(_input.Double());
                break;
            case 12:
                ReadAll(ref chain);
                WriteSome(ref chain);
                _held.Add(chain.Hold());
                break;
            case 13:
                CompleteOne();
                WriteSome(ref chain);
                break;
            case 14:
                _ringIsTouched = true;
                PokeAnything();
                ReadAll(ref chain);
                break;
            case 15:
                Span<byte> copy = stackalloc byte[_input.Below(64)];
                chain.ReadExactly(copy);
                Touch(ref chain);
                chain.Write(copy);
                break;
            case 16:
                _ringIsTouched = true;
                PokeDriverArea();
                WriteSome(ref chain);
                break;
            case 17:
                _held.Add(chain.Hold());
                CompleteOne();
                break;
            default:
                ReadAll(ref chain);
                WriteSome(ref chain);
                break;
        }
    }

    private void Stopping()
    {
        if (_isGood)
            return;
        switch (_input.Byte() % 4)
        {
            case 0:
                break;
            case 1:
                while (_held.Count > 0)
                    CompleteOne();
                break;
            case 2:
                CompleteOne();
                break;
            default:
                throw new PlannedException();
        }
    }

    private void CompleteOne()
    {
        if (_held.Count == 0)
            return;
        int at = _input.Below(_held.Count);
        PendingChain held = _held[at];
        _held.RemoveAt(at);
        if (!held.IsPending)
            return;
        DeviceChain chain = held.Open();
        if (_input.Bit())
            ReadAll(ref chain);
        WriteSome(ref chain);
        held.Complete(_input.Bit() ? _input.Double() : chain.Written);
    }

    private void ReadAll(scoped ref DeviceChain chain)
    {
        ulong left = chain.ReadableLeft;
        while (chain.TryNextReadable(out ReadOnlySpan<byte> bytes))
        {
            FindingException.Unless(!bytes.IsEmpty, "the device was given an empty piece");
            _memory.AddressOf(bytes, _regions);
            left -= (ulong)bytes.Length;
        }

        FindingException.Unless(left == 0 && chain.ReadableLeft == 0, "what was left to read was miscounted");
    }

    /// <summary>Writes at the front only; long buffers are the driver's way to keep a device busy.</summary>
    private void WriteSome(scoped ref DeviceChain chain)
    {
        if (!chain.TryNextWritable(out Span<byte> room))
            return;
        Fill(ref room);
        ulong left = chain.WritableLeft;
        chain.Advance(room.Length);
        FindingException.Unless(chain.WritableLeft == left - (ulong)room.Length, "what was left to write was miscounted");
    }

    private void WriteEverywhere(scoped ref DeviceChain chain)
    {
        while (chain.TryNextWritable(out Span<byte> room))
        {
            Span<byte> front = room;
            Fill(ref front);
            chain.Advance(room.Length);
        }
    }

    private void Touch(scoped ref DeviceChain chain)
    {
        if (chain.TryNextWritable(out Span<byte> room))
            _memory.AddressOf(room, _regions);
        _ringIsTouched = true;
    }

    private void Fill(ref Span<byte> room)
    {
        FindingException.Unless(!room.IsEmpty, "the device was given an empty piece");
        ulong address = _memory.AddressOf(room, _regions);
        room = room[..Math.Min(room.Length, MostBytes)];
        room.Fill(Filling);
        _ringIsTouched |= _ring.Overlaps(address, room.Length);
    }
}

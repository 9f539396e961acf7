using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Spec;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>After any input: a driver and a device that keep the rules are served, at once or after the reset that the host asks for.</summary>
internal sealed partial class DeviceTarget
{
    private const uint GoodLength = 8;

    private void End()
    {
        _isGood = true;
        _host.IsPolled = false;
        SetMemory(GuestMap.Everything);
        CompleteAll();
        Serve(static host => host.Notify(0));
        CompleteAll();

        bool runs = (_host.Status & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) == DeviceStatus.DriverOk && _host.IsEnabled(0);
        if (!runs)
        {
            StaysQuiet();
            ResetAndEnable();
        }

        ServesOne();
        ServesOne();
    }

    private void CompleteAll()
    {
        foreach (PendingChain held in _held)
            if (held.IsPending)
                held.Complete(held.Written);
        _held.Clear();
        _host.Flush();
        QueueSlot slot = SlotsOf(_host)[0];
        FindingException.Unless(slot.Queue is not { Held: > 0 } queue, "chains are held though all were completed");
    }

    private void StaysQuiet()
    {
        ulong before = Popped;
        FindingException.Unless(!_host.Notify(0) && !_host.HasAvailable(0) && !_host.Arm(0), "a device that does not run has work");
        FindingException.Unless(Popped == before, "a device that does not run served a chain");
    }

    private void ResetAndEnable()
    {
        _memory.Clear();
        Negotiate();
        FindingException.Unless((_host.Status & DeviceStatus.NeedsReset) == 0, "a reset did not end NEEDS_RESET");
        _ring = RingWriter.Create(_isPacked, _memory, DefaultLayout);
        _host.EnableQueue(0, DefaultLayout);
        _host.WriteStatus(AllOk);
        FindingException.Unless(_host.Status == AllOk, $"the device is {_host.Status} after a reset and all the steps");
    }

    private void ServesOne()
    {
        QueueSnapshot at = SlotsOf(_host)[0].At;
        ulong good = GoodBuffer();
        ulong reached = _reached, interrupts = _device.Interrupts;
        FindingException.Unless(_ring.IsDrained(at), "a chain waits, and the host said that there is none");
        _ring.OfferOnly(at, good, GoodLength);

        FindingException.Unless(!_host.Notify(0), "one chain is more than one turn allows");
        FindingException.Unless((_host.Status & DeviceStatus.NeedsReset) == 0, "a good chain led to NEEDS_RESET");
        FindingException.Unless(_reached == reached + 1, $"a good chain led to {_reached - reached} calls of the device: it is stuck");
        FindingException.Unless(_device.Interrupts == interrupts + 1, "the driver asked for an interrupt and got none");
        (uint id, uint length) = _ring.Used(at);
        FindingException.Unless(id == 0 && length == GoodLength, $"a good chain was used as {id} with {length} bytes");
        FindingException.Unless(!_memory.At(good, (int)GoodLength).ContainsAnyExcept(Filling), "a good chain's buffer was not written");
    }

    /// <summary>Room that is not in the ring.</summary>
    private ulong GoodBuffer()
    {
        ulong address = GuestMap.Neighbour;
        while (_ring.Overlaps(address, (int)GoodLength))
        {
            address += 64;
            if (address == GuestMap.Neighbour + GuestMap.NeighbourLength)
                address = GuestMap.Main; // a ring of 256 entries may fill all of the neighbour, and nothing is behind that
        }

        return address;
    }

    [System.Runtime.CompilerServices.UnsafeAccessor(System.Runtime.CompilerServices.UnsafeAccessorKind.Field, Name = "_slots")]
    private static extern ref QueueSlot[] SlotsOf(DeviceHost host);
}

using VirtioSharp.Core.Memory;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>A place on the bus: the function that is plugged in, if one is, and where its interrupts arrive.</summary>
internal sealed class PciSlot(SoftwarePciHost host, int index, int messages) : IPciUpstream, IPciInterrupts
{
    private readonly int[] _messages = new int[messages];
    private int _hasArrived; // since the last wait

    public SoftwarePciFunction? Function { get; private set; }

    public int MaxMessages => _messages.Length;

    public bool HasLine => Function is { HasLine: true };

    public bool IsLineRaised => Function is { IsLineRaised: true };

    public PciMessage MessageFor(int number)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(number);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(number, MaxMessages);
        return new PciMessage(SoftwarePciHost.MessageStart + (ulong)index * SoftwarePciHost.MessageBytesPerSlot, (uint)number);
    }

    public bool TakeMessage(int number) => Volatile.Read(ref _messages[number]) != 0 && Interlocked.Exchange(ref _messages[number], 0) != 0;

    public bool Wait(TimeSpan timeout) => host.Wait(this, timeout);

    public bool HasArrived => Volatile.Read(ref _hasArrived) != 0;

    public bool TakeArrival() => HasArrived && Interlocked.Exchange(ref _hasArrived, 0) != 0;

    public void Plug(SoftwarePciFunction function, MemoryMap memory)
    {
        if (Function is not null)
            throw new InvalidOperationException($"{Function.Name} is plugged in here already: unplug it first");
        function.Attach(this, memory);
        Function = function;
    }

    public void Unplug()
    {
        SoftwarePciFunction? function = Function;
        Function = null; // first: nobody reaches it any more
        function?.Detach();
    }

    /// <summary>A message for this slot has come, from any function and on any thread.</summary>
    public void Receive(uint number)
    {
        if (number >= (uint)_messages.Length)
            return;
        Volatile.Write(ref _messages[number], 1);
        Arrive();
    }

    public void Send(int vector, PciMessage message) => host.Deliver(message);

    public void LineChanged()
    {
        if (IsLineRaised)
            Arrive();
    }

    public void WorkChanged()
    {
        // Waiting asks for it.
    }

    public void DecodingChanged() => host.DecodingChanged();

    private void Arrive()
    {
        Interlocked.Exchange(ref _hasArrived, 1); // a full fence: a thread that goes to sleep after this sees it
        host.WakeSleeper();
    }
}

using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver.Bus;

/// <summary>A device on the bus: with a driver, without one, or waiting for one that does better than the last.</summary>
public sealed class BusDevice
{
    private BoundDevice? _bound;
    private (ulong From, ulong To) _memory; // what the driver cut of the arena while it took the device in hand

    internal BusDevice(string name, IDriverTransport transport) => (Name, Transport) = (name, transport);

    /// <summary>Its name, for messages.</summary>
    public string Name { get; }

    /// <summary>The way to it.</summary>
    public IDriverTransport Transport { get; }

    /// <summary>Who drives it, or null.</summary>
    public VirtioDriver? Driver { get; private set; }

    /// <summary>Its driver's session, or null.</summary>
    public DriverSession? Session { get; private set; }

    /// <summary>What its driver made of it, or null.</summary>
    public BoundDevice? Bound => _bound;

    /// <summary>Why the last driver that had it could not take or keep it; null when none failed.</summary>
    public Exception? LastFailure { get; private set; }

    /// <summary>Whether it sleeps, between freeze and restore.</summary>
    public bool IsFrozen { get; private set; }

    /// <summary>Whether it still answers: a status field that reads as ones is nobody's.</summary>
    public bool IsGone
    {
        get
        {
            try
            {
                return (byte)Transport.ReadStatus() == 0xFF;
            }
            catch (TransportException)
            {
                return true;
            }
        }
    }

    /// <summary>The guest has noticed the device; nobody drives it yet (§2.1).</summary>
    internal void Acknowledge() => Try(() =>
    {
        Handshake.Reset(Transport);
        Transport.WriteStatus(DeviceStatus.Acknowledge);
    });

    /// <summary>Puts it into a driver's hands.</summary>
    /// <returns>False when that failed: then <see cref="LastFailure"/> says why, and the device, FAILED, is free for another.</returns>
    internal bool TryBind(VirtioDriver driver)
    {
        ulong mark = Transport.Dma.Mark;
        bool bound = Try(() => Bind(driver));
        _memory = (mark, Transport.Dma.Mark);
        if (bound)
            return true;
        Exception? failure = LastFailure;
        if (Session is not null)
        {
            LetGo();
            Handshake.Fail(Transport); // after the reset: it keeps nothing of the driver's memory, and says what happened
        }

        LastFailure = failure;
        return false;
    }

    /// <summary>Takes it out of its driver's hands, and resets it.</summary>
    internal void Unbind()
    {
        if (Driver is not null)
            LetGo();
    }

    internal bool Freeze()
    {
        if (Session is not { } session || IsFrozen)
            return true;
        IsFrozen = Try(() =>
        {
            _bound?.OnFreeze();
            if (session.IsStarted)
                session.Freeze();
        });
        if (!IsFrozen)
            session.Break(LastFailure!.Message);
        return IsFrozen;
    }

    internal bool Restore()
    {
        if (Session is not { } session || (!IsFrozen && session.Broken is null))
            return true;
        IsFrozen = false;
        bool restored = Try(() =>
        {
            session.Restore();
            _bound?.OnRestore();
            if (!session.IsStarted)
                session.Start();
        });
        if (restored)
            return true;
        session.Break(LastFailure!.Message);
        Handshake.Fail(Transport);
        return false;
    }

    private void Bind(VirtioDriver driver)
    {
        Session = DriverSession.Open(Transport, Transport.DeviceId, driver.Features);
        _bound = driver.Probe(Session);
        if (!Session.IsStarted)
            Session.Start();
        (Driver, LastFailure) = (driver, null);
    }

    private void LetGo()
    {
        bool gone = IsGone;
        if (gone)
            Session!.Break("the device has been unplugged");
        Try(() => _bound?.OnRemove(gone));
        if (Session!.TryReset())
            Transport.Dma.TakeBack(_memory.From, _memory.To); // only now: before, the device might still write there
        Session.Break("the driver has lost the device");
        (Session, _bound, Driver, IsFrozen) = (null, null, null, false);
    }

    /// <summary>A driver that fails loses its device; the others keep theirs.</summary>
    private bool Try(Action step)
    {
        try
        {
            step();
            return true;
        }
        catch (Exception failure) when (failure is not OutOfMemoryException or InsufficientMemoryException)
        {
            LastFailure = failure;
            return false;
        }
    }
}

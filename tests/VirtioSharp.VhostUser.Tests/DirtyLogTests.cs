using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>While a machine is migrated, every page that the device writes is in the log.</summary>
public sealed class DirtyLogTests : IDisposable
{
    /// <summary>A bit for each page up to the end of the test's memory, and a page more.</summary>
    private const int LogBytes = 0x9000;

    private readonly ServedDevice _served = new();
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;
    private readonly FrontEnd _frontEnd;
    private readonly FileDescriptor _log = MemFd.Create("test log", LogBytes + 8);
    private readonly MappedRegion _mapping;

    public DirtyLogTests()
    {
        (_ring, _frontEnd) = (new GuestRing(_ram), _served.Connect());
        _mapping = MappedRegion.Map(_log, 8, LogBytes);
    }

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _ram.Dispose();
        _mapping.Dispose();
        _log.Dispose();
    }

    [Fact]
    [Proves("Dirty log", "vhost-user")]
    public void It_is_switched_on_and_off_under_a_ring_that_runs()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes();
        Assert.Empty(TakeNoted());

        // As QEMU does it: the log, the feature, the address again with the flag.
        SetLog();
        Assert.Equal(8, _frontEnd.Reply(FrontEndRequest.SetLogBase).Length);
        SetLogging(_frontEnd, true);
        SetRingLog(_ring.UsedRing);
        TakeNoted();
        _ring.AssertServes(10000);
        Assert.Equal(3, TakeNoted([_ring.UsedRing]).Intersect([PageOf(_ring.Buffer), PageOf(_ring.Buffer) + 1, PageOf(_ring.Buffer) + 2]).Count());

        SetRingLog(null);
        TakeNoted();
        _ring.AssertServes(100);
        Assert.Equal([PageOf(_ring.Buffer)], TakeNoted()); // buffers, not the ring

        SetLogging(_frontEnd, false);
        _ring.AssertServes();
        Assert.Empty(TakeNoted());
    }

    [Fact]
    public void A_larger_log_takes_the_place_of_one_in_use()
    {
        StartLogging();
        _frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(LogBytes - 8, 16), _log);
        _frontEnd.Reply(FrontEndRequest.SetLogBase);

        _ring.AssertServes();

        Assert.Equal([PageOf(_ring.Buffer) + 64], TakeNoted()); // it starts 8 bytes, so 64 pages, later
    }

    [Fact]
    public void Who_gave_a_descriptor_for_it_is_told_that_pages_were_noted()
    {
        StartLogging();
        using EventFd signal = EventFd.Create();
        _frontEnd.Do(FrontEndRequest.SetLogFd, [], signal.Descriptor);
        Assert.False(signal.TryDrain(out _));

        _ring.AssertServes();

        Assert.True(Readiness.WaitReadable(signal.Descriptor, Patience.Limit));
    }

    [Fact]
    public void Memory_that_the_log_in_use_has_no_room_for_is_refused_and_the_rest_stays()
    {
        StartLogging();
        using var high = new GuestRam(guestAddress: 1UL << 40, userAddress: 1UL << 40);

        _frontEnd.SendNeedingReply(FrontEndRequest.AddMemReg, Wire.OneRegion(high.Region), high.File);

        _frontEnd.AssertClosed();
        Assert.Contains("the log has 36864 bytes; memory reaches to 0x100000fffff", _served.NextReport().Ended, StringComparison.Ordinal);
    }

    [Fact]
    public void A_used_ring_outside_of_the_log_stops_only_its_ring()
    {
        StartLogging();
        _ring.UsedLog = 8UL * 4096 * LogBytes - 100;

        Assert.Equal(1UL, _frontEnd.Acknowledged(FrontEndRequest.SetVringAddr, _ring.AddressPayload));

        Assert.Contains(_served.Log.Errors, line => line.Contains("of the ring is beyond the log", StringComparison.Ordinal));
        SetRingLog(_ring.UsedRing);
        _ring.AssertServes();
    }

    [Fact]
    public void Without_the_feature_nothing_of_it_is_offered()
    {
        using var served = new ServedDevice(options: new VhostUserOptions { Withheld = ProtocolFeatures.LogShmfd });
        using FrontEnd frontEnd = served.Connect();

        Assert.Equal(0UL, frontEnd.Negotiate() & Wire.LogAll);
        SetLogging(frontEnd, true);
        frontEnd.AssertClosed();

        static void SetLogging(FrontEnd frontEnd, bool on) =>
            frontEnd.SendNeedingReply(FrontEndRequest.SetFeatures, Wire.U64(FrontEnd.ModernFeatures | (on ? Wire.LogAll : 0)));
    }

    private void StartLogging()
    {
        _frontEnd.Start(_ram, _ring);
        SetLog();
        _frontEnd.Reply(FrontEndRequest.SetLogBase);
        SetLogging(_frontEnd, true);
    }

    private void SetLog() => _frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(LogBytes, 8), _log);

    private static void SetLogging(FrontEnd frontEnd, bool on) => frontEnd.SetFeatures(FrontEnd.ModernFeatures | (on ? Wire.LogAll : 0));

    private void SetRingLog(ulong? at)
    {
        _ring.UsedLog = at;
        _frontEnd.Do(FrontEndRequest.SetVringAddr, _ring.AddressPayload);
    }

    private static int PageOf(ulong address) => (int)(address >> 12);

    /// <summary>The pages noted since this was asked last. Those at <paramref name="awaited"/> are waited for: the device notes after it has told.</summary>
    private int[] TakeNoted(ulong[]? awaited = null)
    {
        _frontEnd.Barrier();
        var pages = new List<int>();
        for (int i = 0; i < LogBytes; i++)
        {
            byte bits = _mapping.Slice((ulong)i, 1)[0];
            for (int bit = 0; bit < 8; bit++)
                if ((bits & 1 << bit) != 0)
                    pages.Add(8 * i + bit);
        }

        _mapping.Slice(0, LogBytes).Clear();
        foreach (ulong address in awaited ?? [])
            Assert.Contains(PageOf(address), pages);
        return [.. pages];
    }
}

using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>Guest memory comes and goes while rings run.</summary>
public sealed class GuestMemoryTests : IDisposable
{
    private readonly ServedDevice _served = new();
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;
    private readonly FrontEnd _frontEnd;

    public GuestMemoryTests() => (_ring, _frontEnd) = (new GuestRing(_ram), _served.Connect());

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _ram.Dispose();
    }

    [Fact]
    [Proves("CONFIGURE_MEM_SLOTS", "vhost-user")]
    public void A_region_can_be_used_from_when_it_is_added_until_it_is_removed()
    {
        using var dimm = new GuestRam(guestAddress: 1UL << 32, userAddress: 0x7f13_0000_0000, mmapOffset: 0x1000);
        _frontEnd.Start(_ram, _ring);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(0u, ServeAt(dimm.Start));

            _frontEnd.AddMemory(dimm);
            dimm.Bytes(0, 64).Clear();
            Assert.Equal(64u, ServeAt(dimm.Start));
            Assert.True(dimm.Bytes(0, 64).ContainsAnyExcept((byte)0));

            _frontEnd.RemoveMemory(dimm);
        }

        _ring.AssertServes();
        _frontEnd.Dispose();
        Assert.Equal(5, _served.NextReport().Faults["AddressUnmapped"]);
    }

    [Fact]
    public void A_whole_new_table_replaces_the_old_one_under_a_running_ring()
    {
        using var dimm = new GuestRam(guestAddress: 1UL << 32, userAddress: 0x7f13_0000_0000);
        _frontEnd.Negotiate();
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.SetMemoryTable(_ram);
        _frontEnd.StartRing(_ring);
        for (int i = 0; i < 5; i++)
        {
            _ring.AssertServes();
            Assert.Equal(0u, ServeAt(dimm.Start));
            _frontEnd.SetMemoryTable(dimm, _ram);
            Assert.Equal(64u, ServeAt(dimm.Start));
            _frontEnd.SetMemoryTable(_ram);
        }
    }

    [Fact]
    public async Task Memory_may_change_at_any_moment_of_a_busy_ring()
    {
        using var dimm = new GuestRam(guestAddress: 1UL << 32, userAddress: 0x7f13_0000_0000);
        _frontEnd.Start(_ram, _ring);
        using var stop = new CancellationTokenSource();
        Task<int> driver = Task.Factory.StartNew(() =>
        {
            int served = 0;
            for (; !stop.IsCancellationRequested; served++)
                _ring.AssertServes();
            return served;
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        for (int i = 0; i < 200; i++)
        {
            _frontEnd.AddMemory(dimm);
            _frontEnd.RemoveMemory(dimm);
        }

        await stop.CancelAsync();
        Assert.True(await driver > 0);
    }

    [Fact]
    public void A_buffer_may_span_two_regions()
    {
        using var neighbour = new GuestRam(_ram.Start + _ram.Region.Size, userAddress: 0x7f13_0000_0000);
        _frontEnd.Start(_ram, _ring);
        _frontEnd.AddMemory(neighbour);

        Assert.Equal(64u, ServeAt(neighbour.Start - 32));

        Assert.True(_ram.Bytes(_ram.Region.Size - 32, 32).ContainsAnyExcept((byte)0));
        Assert.True(neighbour.Bytes(0, 32).ContainsAnyExcept((byte)0));
    }

    [Fact]
    [Proves("CONFIGURE_MEM_SLOTS", "vhost-user")]
    public void There_are_509_slots_and_no_more()
    {
        const int Page = 4096;
        using FileDescriptor pages = MemFd.Create("test-pages", 600 * Page);
        _frontEnd.Start(_ram, _ring);
        for (uint slot = 1; slot < 509; slot++)
            _frontEnd.Do(FrontEndRequest.AddMemReg, Page1(slot), pages);
        _ring.AssertServes();
        Assert.Equal(64u, ServeAt((1UL << 40) + 508 * 2 * Page));

        Assert.Equal(1UL, _frontEnd.Acknowledged(FrontEndRequest.AddMemReg, Page1(509), pages));

        _frontEnd.AssertClosed();
        Assert.Equal("memory region at 0x100003fa000 would be one more than the 509 slots there are", _served.NextReport().Ended);

        static byte[] Page1(uint slot) =>
            Wire.OneRegion(new Wire.Region((1UL << 40) + slot * 2 * Page, Page, (1UL << 41) + slot * Page, slot * Page));
    }

    [Fact]
    public void A_ring_whose_memory_is_removed_stops_and_can_be_started_again()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes();

        _frontEnd.RemoveMemory(_ram);

        Assert.True(Readiness.WaitReadable(_ring.Error.Descriptor, Patience.Limit));
        Assert.Equal(64UL, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        _frontEnd.StopRing(_ring);
        _frontEnd.AddMemory(_ram);
        _frontEnd.StartRing(_ring, _ring.UsedIndex);
        _ring.AssertServes();
    }

    [Fact]
    [Proves("Hostile front-end", "vhost-user")]
    public void Memory_is_sealed_so_that_the_front_end_cannot_cut_it_short()
    {
        _frontEnd.Start(_ram, _ring);

        Assert.Equal(FileSeals.Shrink, MemFd.GetSeals(_ram.File) & FileSeals.Shrink);
        Assert.Equal(Errno.EPERM, Assert.Throws<LinuxException>(() => MemFd.Resize(_ram.File, 0)).Errno);
        _ring.AssertServes();
        Assert.Empty(_served.Log.Warnings);
    }

    [Fact]
    public void Memory_that_cannot_be_sealed_is_warned_of_once()
    {
        using var loose = new GuestRam(1UL << 32, 0x7f13_0000_0000, allowSealing: false);
        using var loose2 = new GuestRam(1UL << 33, 0x7f14_0000_0000, allowSealing: false);
        _frontEnd.Start(_ram, _ring);

        _frontEnd.AddMemory(loose);
        _frontEnd.AddMemory(loose2);

        _ring.AssertServes();
        Assert.StartsWith("guest memory is not sealed against shrinking", Assert.Single(_served.Log.Warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Proves("Hostile front-end", "vhost-user")]
    public void Memory_that_was_cut_short_costs_its_front_end_the_connection_and_nobody_the_daemon(bool hasRing)
    {
        Assert.SkipUnless(RuntimeInformation.ProcessArchitecture == Architecture.X64, "watching memory is written for x86-64");
        using var loose = new GuestRam(1UL << 32, 0x7f13_0000_0000, allowSealing: false);
        using var ring = new GuestRing(hasRing ? loose : _ram);
        _frontEnd.Start(_ram, _ring);
        _frontEnd.AddMemory(loose);
        if (hasRing)
        {
            _frontEnd.StopRing(_ring);
            _frontEnd.StartRing(ring);
            ring.AssertServes();
        }
        else
        {
            Assert.Equal(64u, ServeAt(loose.Start));
            _ring.SetDescriptor(0, loose.Start, 64, DescriptorFlags.Write);
            _ring.Offer(0);
        }

        MemFd.Resize(loose.File, 0); // from here on the test itself must not touch it
        (hasRing ? ring : _ring).Kick.Signal();

        _frontEnd.AssertClosed();
        Assert.StartsWith("the front-end cut memory short", _served.NextReport().Ended, StringComparison.Ordinal);
        _served.AssertServesNext();
    }

    [Fact]
    public void A_ring_that_runs_without_memory_says_what_to_give_qemu()
    {
        _frontEnd.Negotiate();
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.Describe(_ring);
        _frontEnd.SendKick(_ring);

        Assert.Equal(1UL, _frontEnd.Enable(_ring));

        Assert.Contains("-object memory-backend-memfd,id=mem0,size=512M,share=on -machine memory-backend=mem0", Assert.Single(_served.Log.Errors), StringComparison.Ordinal);
        _frontEnd.AddMemory(_ram);
        Assert.Equal(0UL, _frontEnd.Enable(_ring));
        _ring.AssertServes();
    }

    [Fact]
    public void A_session_leaves_no_mapping_behind()
    {
        // Other tests map memory meanwhile, so this one's has a name of its own.
        using FileDescriptor file = MemFd.Create("test-left-behind", 1 << 20);
        var region = _ram.Region with { GuestAddress = 1UL << 32, UserAddress = 1UL << 33 };
        _frontEnd.Start(_ram, _ring);
        _frontEnd.Do(FrontEndRequest.AddMemReg, Wire.OneRegion(region), file);
        Assert.Equal(1, Mappings());

        _frontEnd.Dispose();
        _served.NextReport();

        Assert.Equal(0, Mappings());

        static int Mappings() => File.ReadLines("/proc/self/maps").Count(line => line.Contains("test-left-behind", StringComparison.Ordinal));
    }

    private uint ServeAt(ulong address)
    {
        ushort at = _ring.UsedIndex;
        _ring.SetDescriptor(3, address, 64, DescriptorFlags.Write);
        _ring.Offer(3);
        _ring.Kick.Signal();
        _ring.WaitUsed((ushort)(at + 1));
        return _ring.UsedAt(at).Length;
    }
}

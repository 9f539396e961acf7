using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Rings that a guest laid out wrongly: the ring does not run, the session goes on, and the next driver is served.</summary>
[Proves("Hostile driver", "vhost-user")]
public sealed class RefusedRingTests : IDisposable
{
    private const ulong User = GuestRam.DefaultUserAddress;

    private readonly ServedDevice _served = new();
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;
    private readonly FrontEnd _frontEnd;

    public RefusedRingTests()
    {
        (_ring, _frontEnd) = (new GuestRing(_ram), _served.Connect());
        _frontEnd.Negotiate();
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.AddMemory(_ram);
        _frontEnd.Describe(_ring);
    }

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _ram.Dispose();
    }

    [Theory]
    [InlineData(7u, "queue size = 7 is not a power of two in 1…32768")]
    [InlineData(1000u, "queue size = 1000 is not a power of two in 1…32768")]
    [InlineData(2048u, "queue size = 2048 of queue 0 is more than the device's 1024")]
    [InlineData(32768u, "queue size = 32768 of queue 0 is more than the device's 1024")]
    public void A_size_that_the_device_does_not_support(uint size, string expected)
    {
        _frontEnd.Send(FrontEndRequest.SetVringNum, Wire.State(0, size));

        AssertRefusedAndRecovers(expected);
    }

    [Theory]
    [InlineData(User + 8, User + 0x8000, User + 0xA000, "descriptor area = 0x40000008 is not aligned to 16")]
    [InlineData(User, User + 0x8001, User + 0xA000, "driver area = 0x40008001 is not aligned to 2")]
    [InlineData(User, User + 0x8000, User + 0xA002, "device area = 0x4000a002 is not aligned to 4")]
    [InlineData(User - 16, User + 0x8000, User + 0xA000, "ring 0: the descriptor area at user address 0x7f11fffffff0 is not in shared memory")]
    [InlineData(User, User + 0x100000, User + 0xA000, "ring 0: the available area at user address 0x7f1200100000 is not in shared memory")]
    [InlineData(User, User + 0x8000, 0, "ring 0: the used area at user address 0x0 is not in shared memory")]
    [InlineData(User, ulong.MaxValue - 1, User + 0xA000, "ring 0: the available area at user address 0xfffffffffffffffe is not in shared memory")]
    [InlineData(User + 0xFF010, User + 0x8000, User + 0xA000, "descriptor area = 0x400ff010, 4096 bytes, is not in one piece of guest memory")]
    [InlineData(User, User + 0xFFFFE, User + 0xA000, "driver area = 0x400ffffe, 518 bytes, is not in one piece of guest memory")]
    [InlineData(User, User + 0x8000, User + 0xFFFFC, "device area = 0x400ffffc, 2054 bytes, is not in one piece of guest memory")]
    [InlineData(User, User + 0xFF0, User + 0xA000, "descriptor area = 0x40000000 overlaps driver area = 0x40000ff0")]
    [InlineData(User, User + 0x8000, User + 0x8000, "driver area = 0x40008000 overlaps device area = 0x40008000")]
    public void A_ring_that_lies_where_it_cannot(ulong descriptors, ulong available, ulong used, string expected)
    {
        _frontEnd.Send(FrontEndRequest.SetVringAddr, Wire.Address(0, descriptors, used, available));

        AssertRefusedAndRecovers(expected);
    }

    [Fact]
    public void A_ring_that_spans_two_regions()
    {
        using var neighbour = new GuestRam(_ram.Start + _ram.Region.Size, User + _ram.Region.Size);
        _frontEnd.AddMemory(neighbour);
        _frontEnd.Send(FrontEndRequest.SetVringAddr, Wire.Address(0, User + 0xFF010, User + 0xA000, User + 0x8000));

        AssertRefusedAndRecovers("descriptor area = 0x400ff010, 4096 bytes, is not in one piece of guest memory");
    }

    [Fact]
    public void A_ring_in_a_region_that_is_mapped_off_its_alignment()
    {
        using var crooked = new GuestRam(1UL << 32, 0x7f13_0000_0000, mmapOffset: 8);
        _frontEnd.AddMemory(crooked);
        _frontEnd.Send(FrontEndRequest.SetVringAddr, Wire.Address(0, 0x7f13_0000_0000, User + 0xA000, User + 0x8000));

        AssertRefusedAndRecovers("descriptor area = 0x100000000 lies in a memory region that is not aligned to 16 here");
    }

    private void AssertRefusedAndRecovers(string expected)
    {
        Assert.Equal(0UL, _frontEnd.SendKick(_ring));

        Assert.Equal(1UL, _frontEnd.Enable(_ring));

        Assert.Equal($"ring 0 cannot run: {expected}", Assert.Single(_served.Log.Errors));
        Assert.True(_ring.Error.TryDrain(out _));
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        _frontEnd.Barrier();
        Assert.Equal(0, _ring.UsedIndex);

        _frontEnd.StopRing(_ring);
        _ring.Restart();
        _frontEnd.StartRing(_ring);
        _ring.AssertServes();
        _frontEnd.Dispose();
        Assert.Null(_served.NextReport().Ended);
    }
}

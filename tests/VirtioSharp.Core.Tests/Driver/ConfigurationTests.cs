using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

[Proves("Configuration space", "in process")]
public sealed class ConfigurationTests : IDisposable
{
    private readonly RegisterTransport _transport = new() { Configuration = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] };

    public void Dispose() => _transport.Dispose();

    [Fact]
    public void Numbers_are_little_endian_and_structs_lie_as_they_are()
    {
        using DriverSession session = Open();

        Assert.Equal(1, session.ReadConfiguration<byte>(0));
        Assert.Equal(0x0403, session.ReadConfiguration<ushort>(2));
        Assert.Equal(0x08070605u, session.ReadConfiguration<uint>(4));
        Assert.Equal(0x0807060504030201ul, session.ReadConfiguration<ulong>(0));
        Assert.Equal((0x0201, 0x0A090807u), session.ReadConfiguration(c => ((int)c.Read<ushort>(0), c.Read<uint>(6))));
        Pair pair = session.ReadConfiguration<Pair>(4);
        Assert.Equal((0x08070605u, 0x0A09), ((uint)pair.First, (ushort)pair.Second));
    }

    [Theory]
    [InlineData(false, true, 0x01020304u)]
    [InlineData(false, false, 0x04030201u)]
    [InlineData(true, true, 0x01020304u)]
    [InlineData(true, false, 0x01020304u)]
    public void The_order_of_bytes_depends_on_processor_and_interface(bool isLegacy, bool processorIsLittleEndian, uint expected)
    {
        Span<byte> field = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(field, 0x01020304);

        ConfigurationOrder.Convert<uint>(field, isLegacy, processorIsLittleEndian);

        Assert.Equal(expected, BinaryPrimitives.ReadUInt32BigEndian(field));
        ConfigurationOrder.Convert<Pair>(field, isLegacy, processorIsLittleEndian);
        Assert.Equal(expected, BinaryPrimitives.ReadUInt32BigEndian(field));
    }

    [Fact]
    public void Fields_that_change_while_they_are_read_are_read_again()
    {
        using DriverSession session = Open();
        int reads = 0;
        _transport.ConfigurationRead = () =>
        {
            if (++reads != 2)
                return;
            _transport.Configuration[0] = 0xFF; // after the first field has been read, and before the second
            _transport.Generation++;
        };

        (byte first, byte second) = session.ReadConfiguration(c => (c.Read<byte>(0), c.Read<byte>(1)));

        Assert.Equal((0xFF, 2, 4), (first, second, reads));
    }

    [Fact]
    public void A_generation_that_never_settles_is_given_up()
    {
        using DriverSession session = Open();
        _transport.ConfigurationRead = () => _transport.Generation++;

        var failure = Assert.Throws<TransportException>(() => session.ReadConfiguration<ulong>(0));

        Assert.Equal("the configuration generation changed during each of 100 reads: it never settles", failure.Message);
    }

    [Fact]
    [Proves("Legacy interface", "in process")]
    public void Without_a_generation_two_reads_in_turn_have_to_agree()
    {
        _transport.LegacyAlignment = 4096;
        using DriverSession session = Open();
        int reads = 0;
        _transport.ConfigurationRead = () => _transport.Configuration[0] = (byte)Math.Min(++reads, 5);

        Assert.Equal(5, session.ReadConfiguration<byte>(0));

        Assert.Equal(6, reads);
        _transport.ConfigurationRead = () => _transport.Configuration[0]++;
        Assert.Throws<TransportException>(() => session.ReadConfiguration<byte>(0));
    }

    [Fact]
    public void Fields_are_written_in_the_same_order()
    {
        using DriverSession session = Open();

        session.WriteConfiguration<ushort>(1, 0xBBAA);
        session.WriteConfiguration(4, new Pair { First = 0x04030201, Second = 0x0605 });

        Assert.Equal([1, 0xAA, 0xBB, 4, 1, 2, 3, 4, 5, 6], _transport.Configuration[..10]);
    }

    [Fact]
    public void A_driver_may_look_at_the_configuration_before_it_accepts_features()
    {
        _transport.Offered = Features.Version1 | FeatureSet.Bit(3) | FeatureSet.Bit(4);
        List<FeatureSet> offers = [];
        var features = new DriverFeatures(FeatureSet.Bit(3) | FeatureSet.Bit(4))
        {
            Validate = (offered, configuration) =>
            {
                offers.Add(offered);
                return configuration.Read<byte>(0) == 1 ? FeatureSet.Bit(4) : Features.None;
            },
        };

        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block, features);

        Assert.Equal([4, 32], session.NegotiatedFeatures);
        Assert.Equal([_transport.Offered], offers);
    }

    [Fact]
    public void A_feature_that_the_driver_needs_has_to_be_offered()
    {
        var refusal = Assert.Throws<TransportException>(
            () => DriverSession.Open(_transport, DeviceId.Block, new DriverFeatures(FeatureSet.Bit(3)) { Required = FeatureSet.Bit(3) }));

        Assert.Equal("the device offers VERSION_1(32): the driver cannot do without 3", refusal.Message);
        Assert.Equal("status 131", _transport.Journal[^1]);
    }

    private DriverSession Open() => DriverSession.Open(_transport, DeviceId.Block);

    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    private struct Pair
    {
        public Le32 First;
        public Le16 Second;
    }
}

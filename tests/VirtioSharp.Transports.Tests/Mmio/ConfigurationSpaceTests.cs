using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>Device configuration from 0x100 on, at both ends.</summary>
[Proves("Configuration space", "in-process MMIO")]
public sealed class ConfigurationSpaceTests
{
    private const ulong Start = MmioRegister.DeviceConfiguration;

    [Theory]
    [InlineData(0, 1, 0x11u)]
    [InlineData(1, 1, 0x22u)]
    [InlineData(2, 2, 0x4433u)]
    [InlineData(4, 4, 0x88776655u)]
    [InlineData(1, 4, 0x55443322u)] // a driver must not; nothing is gained by refusing
    [InlineData(10, 4, 0x0000CCBBu)] // beyond the end
    [InlineData(12, 4, 0u)]
    [InlineData(0xFFFF_FF00, 4, 0u)]
    public void Fields_read_in_their_width_and_zero_beyond_the_end(ulong offset, int width, uint value)
    {
        using var panel = new Panel();

        Assert.Equal(value, panel.Machine.Read(Start + offset, width));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(-1)]
    public void Other_widths_are_no_accesses(int width)
    {
        using var panel = new Panel();

        panel.Machine.Write(Start, width, 0);

        Assert.Equal(0u, panel.Machine.Read(Start, width));
        Assert.Empty(panel.Device.Accesses);
    }

    [Fact]
    public void Offsets_that_do_not_fit_in_32_bits_are_nowhere()
    {
        using var panel = new Panel();

        Assert.Equal(0u, panel.Machine.Read(Start + 0x1_0000_0000, 4));
        panel.Machine.Write(ulong.MaxValue, 1, 0xFF);

        Assert.Empty(panel.Device.Accesses);
    }

    [Fact]
    public void Writes_keep_to_their_width_and_a_write_across_the_end_is_ignored()
    {
        using var panel = new Panel();

        panel.Machine.Write(Start + 2, 2, 0xFFFF_AABB);
        panel.Machine.Write(Start + 10, 4, 0);

        Assert.Equal([0x11, 0x22, 0xBB, 0xAA, 0x55], panel.Device.Configuration[..5]);
        Assert.Equal(0xCC, panel.Device.Configuration[11]);
    }

    [Theory]
    [InlineData(0, 1, new[] { 1 })]
    [InlineData(2, 2, new[] { 2 })]
    [InlineData(4, 4, new[] { 4 })]
    [InlineData(4, 8, new[] { 4, 4 })]
    [InlineData(0, 6, new[] { 1, 1, 1, 1, 1, 1 })] // a MAC address is six fields of 8 bits
    [InlineData(3, 2, new[] { 1, 1 })]
    public void The_driver_half_uses_the_width_of_the_field(uint offset, int length, int[] widths)
    {
        using var panel = new Panel();
        using MmioTransport transport = panel.Machine.Open();
        byte[] bytes = new byte[length];

        transport.ReadConfiguration(offset, bytes);
        Assert.Equal(panel.Device.Configuration.AsSpan((int)offset, length).ToArray(), bytes);
        Assert.Equal(widths, panel.Device.Accesses.Select(access => access.Width));

        panel.Device.Accesses.Clear();
        bytes.AsSpan().Reverse();
        transport.WriteConfiguration(offset, bytes);
        Assert.Equal(panel.Device.Configuration.AsSpan((int)offset, length).ToArray(), bytes);
        Assert.Equal(widths, panel.Device.Accesses.Select(access => access.Width));
    }

    [Fact]
    [Proves("Configuration space", "in-process MMIO, legacy")]
    public void A_legacy_window_is_read_byte_by_byte()
    {
        using var panel = new Panel(MmioVersion.Legacy);
        using MmioTransport transport = panel.Machine.Open();
        byte[] bytes = new byte[4];

        transport.ReadConfiguration(4, bytes);

        Assert.Equal([0x55, 0x66, 0x77, 0x88], bytes);
        Assert.Equal([1, 1, 1, 1], panel.Device.Accesses.Select(access => access.Width));
        Assert.Equal(0u, transport.ReadConfigurationGeneration());
    }
}

using VirtioSharp.Transports.Pci;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

public sealed class PciAddressTests
{
    [Theory]
    [InlineData(0, 4, 0, "00:04.0")]
    [InlineData(0xAB, 31, 7, "ab:1f.7")]
    public void An_address_reads_as_lspci_writes_it(byte bus, byte device, byte function, string text) =>
        Assert.Equal(text, new PciAddress(bus, device, function).ToString());
}

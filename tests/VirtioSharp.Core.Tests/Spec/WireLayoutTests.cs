using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using Xunit;

namespace VirtioSharp.Core.Tests.Spec;

public sealed class WireLayoutTests
{
    [Fact]
    public void The_numbers_on_the_wire_are_as_wide_as_they_are_called()
    {
        Assert.Equal(2, Unsafe.SizeOf<Le16>());
        Assert.Equal(4, Unsafe.SizeOf<Le32>());
        Assert.Equal(8, Unsafe.SizeOf<Le64>());
    }

    [Fact]
    public void The_numbers_on_the_wire_have_their_lowest_byte_first()
    {
        Assert.Equal([0x02, 0x01], Bytes((Le16)0x0102));
        Assert.Equal([0x04, 0x03, 0x02, 0x01], Bytes((Le32)0x0102_0304));
        Assert.Equal([0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01], Bytes((Le64)0x0102_0304_0506_0708));
    }

    [Fact]
    public void The_numbers_on_the_wire_come_back_as_they_went()
    {
        Assert.Equal(0xFEDC, Le16.FromUInt16(0xFEDC).ToUInt16());
        Assert.Equal(0xFEDC_BA98, Le32.FromUInt32(0xFEDC_BA98).ToUInt32());
        Assert.Equal(0xFEDC_BA98_7654_3210, Le64.FromUInt64(0xFEDC_BA98_7654_3210).ToUInt64());
    }

    [Fact]
    public void A_descriptor_is_address_length_flags_and_next_in_sixteen_bytes()
    {
        var descriptor = new Descriptor(0x1122_3344_5566_7788, 0x99AA_BBCC, DescriptorFlags.Write | DescriptorFlags.Indirect, 0xDDEE);

        Assert.Equal(Descriptor.Size, Unsafe.SizeOf<Descriptor>());
        Assert.Equal(
            [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xCC, 0xBB, 0xAA, 0x99, 0x06, 0x00, 0xEE, 0xDD],
            Bytes(descriptor));
        Assert.Equal(
            (0x1122_3344_5566_7788UL, 0x99AA_BBCCU, DescriptorFlags.Write | DescriptorFlags.Indirect, (ushort)0xDDEE),
            (descriptor.Address, descriptor.Length, descriptor.Flags, descriptor.Next));
    }

    [Fact]
    public void A_used_element_is_id_and_length_in_eight_bytes()
    {
        var element = new UsedElement(0x0102_0304, 0x0506_0708);

        Assert.Equal([0x04, 0x03, 0x02, 0x01, 0x08, 0x07, 0x06, 0x05], Bytes(element));
        Assert.Equal((0x0102_0304U, 0x0506_0708U), (element.Id, element.Length));
    }

    [Fact]
    public void The_device_numbers_are_those_of_the_specification() =>
        Assert.Equal(
            [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 18, 19, 20, 23, 24, 25, 26, 27, 34, 36, 41],
            Enum.GetValues<DeviceId>().Select(id => (int)id));

    private static byte[] Bytes<T>(T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();
}

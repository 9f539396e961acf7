using System.Buffers.Binary;
using System.Security.Cryptography;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

/// <summary>A device nobody has standardised: the driver says how many sides, the device rolls the die.</summary>
internal sealed class DiceDevice : VirtioDevice
{
    public static readonly DeviceId Id = (DeviceId)0x3F;

    public override DeviceTraits Traits { get; } = new(Id, Features.None, new QueueTraits("roll", MaxSize: 64));

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        Span<byte> number = stackalloc byte[4];
        chain.ReadExactly(number); // a copy: the driver cannot change what has been checked
        int sides = BinaryPrimitives.ReadInt32LittleEndian(number);
        if (sides < 1)
            throw new ChainException($"sides = {sides}: a die has one at the least");

        BinaryPrimitives.WriteInt32LittleEndian(number, RandomNumberGenerator.GetInt32(sides) + 1);
        chain.Write(number);
    }
}

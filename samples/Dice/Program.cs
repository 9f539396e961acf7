using System.Buffers.Binary;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Transports.Loopback;
using VirtioSharp.VhostUser.BackEnd;

// With a socket's path: serve the device to a VMM. Without: drive it here.
if (args is [var socketPath])
{
    using var server = new VhostUserServer(new DiceDevice(), UnixListener.Listen(socketPath));
    Console.CancelKeyPress += (_, end) =>
    {
        end.Cancel = true;
        server.Stop();
    };
    server.Run();
    return;
}

using var transport = new LoopbackTransport(new DiceDevice());
using DriverSession session = DriverSession.Open(transport, DiceDevice.Id);
DriverQueue queue = session.EnableQueue(0);
DmaBuffer sides = transport.Dma.Allocate(4), result = transport.Dma.Allocate(4);
session.Start();

BinaryPrimitives.WriteInt32LittleEndian(sides.Span, 6);
queue.TryAdd(readable: [sides], writable: [result], out _);
queue.Kick();
if (queue.Wait(TimeSpan.FromSeconds(1), out _, out uint length) && length == 4)
    Console.WriteLine($"rolled {BinaryPrimitives.ReadInt32LittleEndian(result.Span)}");

using System.Globalization;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Random sessions. Most messages are nearly right, so that sessions get far before one is refused; the guest
/// scribbles over its rings meanwhile.</summary>
public sealed class FuzzTests : HostileTest
{
    private const int Messages = 10_000, MostPerSession = 200;

    private static readonly uint[] Requests = [.. Enum.GetValues<FrontEndRequest>().Select(request => (uint)request), 45, 1000];
    private static readonly FrontEndRequest[] RingRequests =
    [
        FrontEndRequest.SetVringNum, FrontEndRequest.SetVringAddr, FrontEndRequest.SetVringBase, FrontEndRequest.GetVringBase, FrontEndRequest.SetVringKick,
        FrontEndRequest.SetVringCall, FrontEndRequest.SetVringErr, FrontEndRequest.SetVringEnable, FrontEndRequest.SetFeatures, FrontEndRequest.AddMemReg,
        FrontEndRequest.RemMemReg, FrontEndRequest.SetMemTable, FrontEndRequest.ResetDevice, FrontEndRequest.SetStatus,
    ];

    private static readonly string[] FdKinds = ["eventfd", "memfd", "pipe", "/dev/null", "/dev/zero", "regular file"];

    [Fact]
    public void Ten_thousand_random_messages_do_no_harm()
    {
        int seed = int.Parse(Environment.GetEnvironmentVariable("FUZZ_SEED") ?? $"{Random.Shared.Next()}", CultureInfo.InvariantCulture);
        Served.AssertServesNext();
        try
        {
            var random = new Random(seed);
            for (int sent = 0; sent < Messages;)
            {
                using var leaks = new LeakCheck(holdOffCollector: false); // it would hide a leak here and there, but not each time
                sent += new Session(Served, random).Run();
                leaks.AssertNothingIsLeft();
            }

            Assert.Equal(0, Served.Log.Count("internal error"));
            Assert.All(Served.Log.Lines.Where(line => line.Text.Contains("needs a reset", StringComparison.Ordinal)), line => AssertRingsFault(line.Text));
            Served.AssertServesNext();
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"with FUZZ_SEED={seed}: {failure.Message}", failure);
        }
    }

    /// <summary>The entropy device itself has no reason to fail, so every one is the ring's.</summary>
    private static void AssertRingsFault(string line) => Assert.Matches(
        @"avail\.idx jumped|avail\.ring\[|desc\.next =|more links than|is not in one piece of guest memory|lies in a memory region that is not aligned", line);

    private sealed class Session(ServedDevice served, Random random)
    {
        private static readonly ulong[] Oddities = [0, 1, 0xFF, 0x100, 0xFFFF, 0x10000, uint.MaxValue, 1UL << 32, long.MaxValue, ulong.MaxValue, 0x1000, 0xFFF];

        /// <returns>How many messages it sent.</returns>
        public int Run()
        {
            int sent = 0;
            using (FrontEnd frontEnd = served.Connect())
            using (var ram = new GuestRam())
            using (var ring = new GuestRing(ram, size: 16))
            {
                try
                {
                    if (random.Next(8) > 0)
                        frontEnd.Start(ram, ring); // most of what can go wrong needs a ring that runs
                    int limit = random.Next(1, MostPerSession);
                    while (sent < limit)
                    {
                        Send(frontEnd, ram, ring);
                        sent++;
                        frontEnd.ReadAway();
                        Scribble(ram, ring);
                    }
                }
                catch (LinuxException closed) when (closed.Errno is Errno.EPIPE or Errno.ECONNRESET)
                {
                    // It was refused, as most sessions are in the end.
                }
            }

            served.NextReport();
            return Math.Max(sent, 1);
        }

        private void Send(FrontEnd frontEnd, GuestRam ram, GuestRing ring)
        {
            var request = random.Next(8) == 0 ? (FrontEndRequest)Pick(Requests) : Pick(RingRequests);
            byte[] payload = Payload(request, ram, ring);
            FileDescriptor[] fds = Fds(request, ram, ring);
            uint flags = Wire.Version | (random.Next(2) == 0 ? Wire.NeedReply : 0);
            byte[] message = [.. Wire.Header((uint)request, flags, (uint)payload.Length), .. payload];
            switch (random.Next(100))
            {
                case 0:
                    message[random.Next(message.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    message = message[..random.Next(1, message.Length + 1)];
                    break;
                case 2:
                    random.NextBytes(message);
                    break;
                case < 15 when payload.Length >= 8:
                    MutateField(message);
                    break;
            }

            if (random.Next(20) == 0)
                frontEnd.PieceSize = random.Next(1, 20);
            try
            {
                frontEnd.SendRaw(message, fds);
            }
            finally
            {
                frontEnd.PieceSize = int.MaxValue;
                foreach (FileDescriptor fd in fds)
                    if (fd != ram.File && fd != ring.Kick.Descriptor && fd != ring.Call.Descriptor)
                        fd.Dispose();
            }
        }

        private byte[] Payload(FrontEndRequest request, GuestRam ram, GuestRing ring) => request switch
        {
            FrontEndRequest.SetFeatures => Wire.U64(Pick<ulong>(FrontEnd.ModernFeatures, Wire.ProtocolFeatures, Wire.Version1, FrontEnd.ModernFeatures ^ Wire.EventIdx)),
            FrontEndRequest.SetProtocolFeatures => Wire.U64((ulong)FrontEnd.UsualProtocol),
            FrontEndRequest.SetMemTable => Wire.Table(1, ram.Region),
            FrontEndRequest.AddMemReg or FrontEndRequest.RemMemReg => Wire.OneRegion(random.Next(2) == 0 ? ram.Region : new Wire.Region((ulong)random.Next(1, 4) << 32, 4096, 1UL << 40, (ulong)random.Next(3) * 4096)),
            FrontEndRequest.SetVringAddr => ring.AddressPayload,
            FrontEndRequest.SetVringNum => Wire.State(0, Pick<uint>(1, 16, 256, 1024)),
            FrontEndRequest.SetVringBase => Wire.State(0, Pick<uint>(0xFFF0, ring.UsedIndex, ring.UsedIndex, ring.UsedIndex)),
            FrontEndRequest.SetVringEnable or FrontEndRequest.GetVringBase => Wire.State(0, (uint)random.Next(2)),
            FrontEndRequest.SetVringKick => Wire.U64(0),
            FrontEndRequest.SetVringCall or FrontEndRequest.SetVringErr => Wire.U64(0),
            FrontEndRequest.SetStatus => Wire.U64(Pick<ulong>(0, 8, 15, 255)),
            FrontEndRequest.GetConfig or FrontEndRequest.SetConfig => Wire.Config(0, 4, [1, 2, 3, 4]),
            _ => [],
        };

        private FileDescriptor[] Fds(FrontEndRequest request, GuestRam ram, GuestRing ring)
        {
            if (random.Next(100) == 0)
                return [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => Descriptors.Of(Pick(FdKinds)))];
            if (random.Next(100) == 0)
                return [];
            return request switch
            {
                FrontEndRequest.SetMemTable or FrontEndRequest.AddMemReg => [ram.File],
                FrontEndRequest.SetVringKick => [ring.Kick.Descriptor],
                FrontEndRequest.SetVringCall or FrontEndRequest.SetVringErr => [ring.Call.Descriptor],
                FrontEndRequest.SetBackEndReqFd => [Descriptors.Of(Pick(FdKinds))],
                _ => [],
            };
        }

        /// <summary>Puts something odd into a 32- or 64-bit field of the payload.</summary>
        private void MutateField(byte[] message)
        {
            int width = Pick(4, 8);
            int at = 12 + random.Next((message.Length - 12) / width) * width;
            BitConverter.GetBytes(Pick(Oddities)).AsSpan(0, width).CopyTo(message.AsSpan(at));
        }

        /// <summary>What the guest does: good requests, random descriptors, random indices.</summary>
        private void Scribble(GuestRam ram, GuestRing ring)
        {
            switch (random.Next(6))
            {
                case 0:
                    random.NextBytes(ram.Bytes((ulong)random.Next(0x100), 64));
                    break;
                case 1 when (ushort)(ring.AvailableIndex - ring.UsedIndex) < ring.Size:
                    ring.SetDescriptor(random.Next(16), Pick(ring.Buffer, Pick(Oddities), ram.Start), (uint)Pick<ulong>(64, Pick(Oddities)), (Spec.DescriptorFlags)random.Next(8), (ushort)random.Next(17));
                    ring.Offer((ushort)random.Next(16));
                    break;
                case 2 when random.Next(20) == 0:
                    ring.AvailableIndex = (ushort)random.Next(0x10000);
                    break;
                default:
                    if ((ushort)(ring.AvailableIndex - ring.UsedIndex) < ring.Size)
                        ring.OfferBuffer(head: (ushort)random.Next(16));
                    break;
            }

            ring.Kick.Signal();
        }

        private T Pick<T>(params T[] values) => values[random.Next(values.Length)];
    }
}

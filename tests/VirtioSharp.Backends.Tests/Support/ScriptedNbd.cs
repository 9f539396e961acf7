using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using VirtioSharp.Backends.Nbd;

namespace VirtioSharp.Backends.Tests.Support;

/// <summary>An NBD server that says whatever a test wants it to, connection after connection.</summary>
internal sealed class ScriptedNbd : IDisposable
{
    public const int DiskBytes = 1 << 20;

    private readonly TemporaryDirectory _directory = new();
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Thread _thread;
    private volatile bool _ends;

    /// <summary>Each conversation has one connection; the last one has all that follow.</summary>
    public ScriptedNbd(params Action<Peer>[] conversations)
    {
        _listener.Bind(new UnixDomainSocketEndPoint(_directory["nbd"]));
        _listener.Listen(8);
        _thread = new Thread(() => Serve(conversations)) { IsBackground = true };
        _thread.Start();
    }

    public NbdUri Uri => NbdUri.Parse($"nbd+unix:///disk?socket={_directory["nbd"]}");

    public void Dispose()
    {
        _ends = true;
        _listener.Dispose();
        _thread.Join();
        _directory.Dispose();
    }

    private void Serve(Action<Peer>[] conversations)
    {
        for (int i = 0; !_ends; i++)
        {
            try
            {
                using var stream = new NetworkStream(_listener.Accept(), ownsSocket: true);
                conversations[Math.Min(i, conversations.Length - 1)](new Peer(stream));
            }
            catch (Exception gone) when (gone is IOException or SocketException or ObjectDisposedException)
            {
                // The client has left, or the test has ended.
            }
        }
    }

    /// <summary>The server's end of a connection.</summary>
    public sealed class Peer(Stream stream)
    {
        /// <summary>A well-behaved handshake, up to the first request.</summary>
        public void Enter(bool structured = false, ushort flags = 0x6d, ulong size = DiskBytes)
        {
            Greet();
            Option(8);
            Reply(8, structured ? 1u : 1u << 31 | 1);
            Option(7);
            Reply(7, 3, [0, 0, .. Big(size), .. Big(flags)]);
            Reply(7, 1);
        }

        public void Greet(ushort flags = 3)
        {
            Send([.. "NBDMAGIC"u8, .. "IHAVEOPT"u8, .. Big(flags)]);
            Read(4);
        }

        /// <summary>Reads an option; its payload.</summary>
        public byte[] Option(uint expected)
        {
            byte[] header = Read(16);
            Assert.Equal(expected, BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8)));
            return Read((int)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12)));
        }

        public void Reply(uint option, uint type, byte[]? payload = null, uint? length = null) =>
            Send([.. Big(0x0003e889045565a9ul), .. Big(option), .. Big(type), .. Big(length ?? (uint)(payload?.Length ?? 0)), .. payload ?? []]);

        /// <summary>Reads a request's header, and what is written.</summary>
        public (ushort Flags, ushort Type, ulong Cookie, ulong Offset, uint Length) Request()
        {
            byte[] header = Read(28);
            ushort type = BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
            uint length = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(24));
            if (type == 1)
                Read((int)length);
            return (BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)), type, BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)), BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(16)), length);
        }

        public void Simple(ulong cookie, uint error = 0, byte[]? data = null) => Send([.. Big(0x67446698u), .. Big(error), .. Big(cookie), .. data ?? []]);

        public void Chunk(ulong cookie, ushort flags, ushort type, byte[] body) =>
            Send([.. Big(0x668e33efu), .. Big(flags), .. Big(type), .. Big(cookie), .. Big((uint)body.Length), .. body]);

        /// <summary>Answers one request well.</summary>
        public void Answer(ulong cookie, ushort type, ulong offset, uint length, bool structured)
        {
            if (structured && type == 0)
                Chunk(cookie, 1, 1, [.. Big(offset), .. Sevens((int)length)]);
            else
                Simple(cookie, 0, type == 0 ? Sevens((int)length) : null);
        }

        /// <summary>Answers every request well, reads with sevens, until the client leaves.</summary>
        public void Serve()
        {
            while (true)
            {
                var request = Request();
                if (request.Type == 2)
                    return;
                Simple(request.Cookie, 0, request.Type == 0 ? Sevens((int)request.Length) : null);
            }
        }

        public void Send(byte[] bytes) => stream.Write(bytes);

        public byte[] Read(int count)
        {
            byte[] bytes = new byte[count];
            stream.ReadExactly(bytes);
            return bytes;
        }

        /// <summary>Says nothing until the client leaves.</summary>
        public void WaitForEnd()
        {
            while (stream.ReadByte() >= 0)
            {
            }
        }
    }

    public static byte[] Sevens(int count)
    {
        byte[] data = new byte[count];
        data.AsSpan().Fill(7);
        return data;
    }

    public static byte[] Big(ulong value) => Bytes(value, 8);

    public static byte[] Big(uint value) => Bytes(value, 4);

    public static byte[] Big(ushort value) => Bytes(value, 2);

    public static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);

    private static byte[] Bytes(ulong value, int count)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes[(8 - count)..];
    }
}

using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace VirtioSharp.Backends.Nbd;

/// <summary>Where an export is, as the NBD project writes it: <c>nbd://host:port/export</c>, <c>nbd+unix:///export?socket=PATH</c> (doc/uri.md).</summary>
public sealed record NbdUri
{
    private const int DefaultPort = 10809; // IANA's

    private NbdUri(string text) => Text = text;

    /// <summary>As it was given.</summary>
    public string Text { get; }

    /// <summary>The export's name; empty is the server's default.</summary>
    public string Export { get; private init; } = "";

    /// <summary>The socket's path; null over TCP.</summary>
    public string? SocketPath { get; private init; }

    /// <summary>The machine; null over a socket's path.</summary>
    public string? Host { get; private init; }

    /// <summary>The port on that machine.</summary>
    public int Port { get; private init; } = DefaultPort;

    /// <summary>Reads one.</summary>
    /// <exception cref="NbdException">It says nothing that we can connect to.</exception>
    public static NbdUri Parse(string text)
    {
        int colon = text.IndexOf("://", StringComparison.Ordinal);
        string scheme = colon < 0 ? "" : text[..colon].ToLowerInvariant();
        if (scheme is "nbds" or "nbds+unix")
            throw Wrong(text, "TLS is not implemented; use nbd:// or nbd+unix:// on a network that you trust");
        if (scheme is not ("nbd" or "nbd+unix"))
            throw Wrong(text, "give nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH");
        string rest = text[(colon + 3)..];
        (rest, string query) = Cut(rest, '?');
        (string authority, string path) = Cut(rest, '/');
        string export = Unescape(path);
        if (export.Contains('\0', StringComparison.Ordinal) || System.Text.Encoding.UTF8.GetByteCount(export) > NbdProtocol.MaxString)
            throw Wrong(text, $"the export's name has a NUL or more than {NbdProtocol.MaxString} bytes");
        string? socket = SocketOf(text, query);
        if (scheme == "nbd+unix")
        {
            if (authority.Length > 0)
                throw Wrong(text, $"'{authority}' is a host, which a socket's path does not have; write nbd+unix:///EXPORT?socket=PATH");
            return new NbdUri(text) { Export = export, SocketPath = socket ?? throw Wrong(text, "?socket=PATH is missing") };
        }

        if (socket is not null)
            throw Wrong(text, "?socket= belongs to nbd+unix://");
        (string host, int port) = HostOf(text, authority[(authority.LastIndexOf('@') + 1)..]); // who we are is asked by TLS only
        return new NbdUri(text) { Export = export, Host = host, Port = port };
    }

    /// <summary>Where to connect to, one after the other. Asks for the host's name, which may take its time.</summary>
    /// <exception cref="NbdException">The host is not known.</exception>
    public IReadOnlyList<EndPoint> Resolve()
    {
        try
        {
            return SocketPath is not null
                ? [new UnixDomainSocketEndPoint(SocketPath)]
                : [.. Dns.GetHostAddresses(Host!).Select(address => new IPEndPoint(address, Port))];
        }
        catch (Exception unknown) when (unknown is SocketException or ArgumentException)
        {
            throw new NbdException(NbdFailure.Address, SocketPath is null ? $"{Host}: no such host is known" : $"{SocketPath}: {unknown.Message}", unknown);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Text;

    private static (string Host, int Port) HostOf(string text, string authority)
    {
        int bracket = authority.StartsWith('[') ? authority.IndexOf(']', StringComparison.Ordinal) : -1;
        int colon = authority.IndexOf(':', Math.Max(bracket, 0));
        string host = colon < 0 ? authority : authority[..colon];
        host = bracket > 0 ? host.Trim('[', ']') : Unescape(host);
        if (host.Length == 0)
            throw Wrong(text, "the host is missing");
        if (colon < 0 || colon == authority.Length - 1)
            return (host, DefaultPort);
        return int.TryParse(authority.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= ushort.MaxValue
            ? (host, port)
            : throw Wrong(text, $"'{authority[(colon + 1)..]}' is no port");
    }

    private static string? SocketOf(string text, string query)
    {
        string? socket = null;
        foreach (string part in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            (string name, string value) = Cut(part, '=');
            if (name != "socket")
                throw Wrong(text, $"'{name}' is not known here; only socket= is");
            socket = Unescape(value);
        }

        return socket is "" ? throw Wrong(text, "?socket= names no path") : socket;
    }

    private static (string Before, string After) Cut(string text, char at)
    {
        int index = text.IndexOf(at, StringComparison.Ordinal);
        return index < 0 ? (text, "") : (text[..index], text[(index + 1)..]);
    }

    private static string Unescape(string text) => Uri.UnescapeDataString(text);

    private static NbdException Wrong(string text, string why) => new(NbdFailure.Address, $"{text}: {why}");
}

using System.Runtime.InteropServices;
using System.Text;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A path as a socket address (unix(7)): at most 107 bytes and a NUL.</summary>
internal static unsafe class UnixAddress
{
    public static readonly uint Size = (uint)sizeof(SysSocket.SockaddrUn);

    /// <exception cref="ArgumentException">The path is empty or contains a NUL.</exception>
    /// <exception cref="LinuxException">ENAMETOOLONG.</exception>
    public static SysSocket.SockaddrUn Of(string path, string call)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (path.Contains('\0'))
            throw new ArgumentException("A socket path cannot contain a NUL character.", nameof(path));
        int length = Encoding.UTF8.GetByteCount(path);
        if (length >= SysSocket.SunPathSize)
        {
            throw new LinuxException(Errno.ENAMETOOLONG, $"{call} {path}",
                $"the path has {length} bytes, a socket's path may have {SysSocket.SunPathSize - 1}");
        }

        SysSocket.SockaddrUn address = default;
        address.Family = SysSocket.AF_UNIX;
        Encoding.UTF8.GetBytes(path, MemoryMarshal.CreateSpan(ref address.Path[0], SysSocket.SunPathSize));
        return address;
    }
}

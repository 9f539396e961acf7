using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/socket.h&gt; and &lt;sys/un.h&gt;: unix(7), cmsg(3).</summary>
internal static unsafe partial class SysSocket
{
    public const int AF_UNIX = 1;
    public const int AF_INET = 2;
    public const int AF_INET6 = 10;
    public const int IPPROTO_TCP = 6;
    public const int TCP_NODELAY = 1;
    public const int TCP_KEEPIDLE = 4;
    public const int TCP_KEEPINTVL = 5;
    public const int TCP_KEEPCNT = 6;
    public const int TCP_USER_TIMEOUT = 18;
    public const int SOCK_STREAM = 1;
    public const int SOCK_NONBLOCK = 0x800;
    public const int SOCK_CLOEXEC = 0x80000;
    public const int SOL_SOCKET = 1;
    public const int SO_ERROR = 4;
    public const int SO_KEEPALIVE = 9;
    public const int SO_LINGER = 13;
    public const int SO_PEERCRED = 17;
    public const int SO_ACCEPTCONN = 30;
    public const int SCM_RIGHTS = 1;
    public const int MSG_CTRUNC = 0x8;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_NOSIGNAL = 0x4000;
    public const int MSG_CMSG_CLOEXEC = 0x40000000;

    /// <summary>SCM_MAX_FD: more descriptors in one message are EINVAL.</summary>
    public const int MaxFdsPerMessage = 253;

    /// <summary>sizeof sun_path; one byte of it is the final NUL.</summary>
    public const int SunPathSize = 108;

    public struct SockaddrUn
    {
        public ushort Family;
        public fixed byte Path[SunPathSize];
    }

    public struct Iovec
    {
        public void* Base;
        public nuint Length;
    }

    public struct Msghdr
    {
        public void* Name;
        public uint NameLength;
        public Iovec* Iov;
        public nuint IovLength;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    public struct Linger
    {
        public int IsOn;
        public int Seconds;
    }

    public struct Cmsghdr
    {
        public nuint Length; // header and data, without the padding that follows
        public int Level;
        public int Type;
    }

    public struct Ucred
    {
        public int Pid;
        public uint Uid;
        public uint Gid;
    }

    /// <summary>CMSG_ALIGN: control messages start on multiples of a word.</summary>
    public static int CmsgAlign(int length) => (length + sizeof(nuint) - 1) & -sizeof(nuint);

    /// <summary>CMSG_LEN of <paramref name="count"/> descriptors.</summary>
    public static int CmsgLength(int count) => sizeof(Cmsghdr) + count * sizeof(int);

    [LibraryImport(Libc.Name)]
    public static partial int socket(int domain, int type, int protocol);

    [LibraryImport(Libc.Name)]
    public static partial int socketpair(int domain, int type, int protocol, int* pair);

    [LibraryImport(Libc.Name)]
    public static partial int bind(FileDescriptor fd, SockaddrUn* address, uint length);

    [LibraryImport(Libc.Name)]
    public static partial int connect(FileDescriptor fd, SockaddrUn* address, uint length);

    /// <summary>With an address of any family.</summary>
    [LibraryImport(Libc.Name)]
    public static partial int connect(FileDescriptor fd, byte* address, uint length);

    [LibraryImport(Libc.Name)]
    public static partial int listen(FileDescriptor fd, int backlog);

    [LibraryImport(Libc.Name)]
    public static partial int accept4(FileDescriptor fd, void* address, uint* length, int flags);

    [LibraryImport(Libc.Name)]
    public static partial nint recvmsg(FileDescriptor fd, Msghdr* message, int flags);

    [LibraryImport(Libc.Name)]
    public static partial nint sendmsg(FileDescriptor fd, Msghdr* message, int flags);

    [LibraryImport(Libc.Name)]
    public static partial int getsockopt(FileDescriptor fd, int level, int name, void* value, uint* length);

    [LibraryImport(Libc.Name)]
    public static partial int setsockopt(FileDescriptor fd, int level, int name, void* value, uint length);
}

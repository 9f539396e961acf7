using System.Text;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Which file: two descriptors or paths with equal identities are the same inode.</summary>
/// <param name="DeviceMajor">Major number of the file system's device.</param>
/// <param name="DeviceMinor">Minor number of the file system's device.</param>
/// <param name="Inode">Inode number. It can be reused once nothing refers to the inode any more.</param>
public readonly record struct FileIdentity(uint DeviceMajor, uint DeviceMinor, ulong Inode);

/// <summary>What statx(2) says about a file at one moment. Whoever may write to the file can change its size right after.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Size">Bytes; meaningful for regular files, 0 for block devices and the rest.</param>
/// <param name="Identity">Which file it is.</param>
public readonly record struct FileFacts(FileKind Kind, ulong Size, FileIdentity Identity)
{
    /// <summary>True for files whose <see cref="Size"/> bounds what can be mapped.</summary>
    public bool IsRegular => Kind == FileKind.Regular;

    /// <summary>Asks about an open descriptor.</summary>
    /// <exception cref="LinuxException">EBADF: it is not open.</exception>
    public static unsafe FileFacts Of(FileDescriptor fd)
    {
        SysStat.Statx facts;
        byte empty = 0;
        if (SysStat.statx(fd, &empty, SysStat.AT_EMPTY_PATH, SysStat.STATX_BASIC_STATS, &facts) < 0)
            LinuxException.ThrowLast("statx", fd);
        return From(facts);
    }

    /// <summary>Asks about a path, not following a symbolic link at its end; null when nothing is there.</summary>
    /// <exception cref="LinuxException">EACCES, ENAMETOOLONG and other errors of path_resolution(7).</exception>
    public static unsafe FileFacts? OfPath(string path)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(path + '\0');
        SysStat.Statx facts;
        fixed (byte* name = bytes)
        {
            if (SysStat.statx(SysStat.AT_FDCWD, name, SysStat.AT_SYMLINK_NOFOLLOW, SysStat.STATX_BASIC_STATS, &facts) == 0)
                return From(facts);
        }

        Errno errno = Libc.LastError;
        return errno is Errno.ENOENT or Errno.ENOTDIR ? null : throw new LinuxException(errno, $"statx {path}");
    }

    private static FileFacts From(in SysStat.Statx facts) => new(
        (FileKind)(facts.Mode & SysStat.S_IFMT),
        facts.Size,
        new FileIdentity(facts.DeviceMajor, facts.DeviceMinor, facts.Inode));
}

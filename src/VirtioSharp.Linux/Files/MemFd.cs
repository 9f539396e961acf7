using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Promises about a file that hold for every process sharing it and cannot be taken back (fcntl(2), "File sealing").</summary>
[Flags]
public enum FileSeals
{
    /// <summary>No promise.</summary>
    None = 0,

    /// <summary>No further seal can be added (F_SEAL_SEAL).</summary>
    Seal = 0x1,

    /// <summary>The file cannot get shorter: a mapping within its size never faults (F_SEAL_SHRINK).</summary>
    Shrink = 0x2,

    /// <summary>The file cannot get longer (F_SEAL_GROW).</summary>
    Grow = 0x4,

    /// <summary>Its content cannot change (F_SEAL_WRITE).</summary>
    Write = 0x8,

    /// <summary>No new way of writing to it can be opened (F_SEAL_FUTURE_WRITE).</summary>
    FutureWrite = 0x10,

    /// <summary>Its execute permission cannot change (F_SEAL_EXEC).</summary>
    Exec = 0x20,
}

/// <summary>Memory as a file (memfd_create(2)), to be mapped here and passed to a peer.</summary>
/// <remarks>
/// A peer that shortens a file we have mapped makes our next access fault with SIGBUS, which ends a .NET process.
/// Only <see cref="FileSeals.Shrink"/> excludes that; checking the size does so for the moment of the check.
/// Where a file cannot be sealed, <see cref="MappedRegion.Watch"/> makes the fault harmless.
/// </remarks>
public static class MemFd
{
    /// <summary>Creates a memory file of zeros, close-on-exec.</summary>
    /// <param name="name">For people reading /proc; at most 249 bytes, need not be unique.</param>
    /// <param name="size">Bytes. Pages are allocated when they are touched.</param>
    /// <param name="allowSealing">Whether seals may be added later.</param>
    /// <exception cref="LinuxException">EINVAL: the name is too long; ENOMEM, EMFILE.</exception>
    public static FileDescriptor Create(string name, long size, bool allowSealing = true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        uint flags = SysMman.MFD_CLOEXEC | (allowSealing ? SysMman.MFD_ALLOW_SEALING : 0);
        int fd = SysMman.memfd_create(name, flags);
        if (fd < 0)
            LinuxException.ThrowLast("memfd_create", name);

        FileDescriptor file = FileDescriptor.Adopt(fd);
        try
        {
            Resize(file, size);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Sets the file's length (ftruncate(2)).</summary>
    /// <param name="fd">A file open for writing.</param>
    /// <param name="size">Bytes.</param>
    /// <exception cref="LinuxException">EPERM: a seal forbids it; EINVAL: not a file that has a length.</exception>
    public static void Resize(FileDescriptor fd, long size)
    {
        while (Unistd.ftruncate(fd, size) < 0)
        {
            Errno errno = Libc.LastError;
            if (errno != Errno.EINTR)
                throw new LinuxException(errno, $"ftruncate {fd}");
        }
    }

    /// <summary>Makes sure the file cannot get shorter, if its creator allows that.</summary>
    /// <returns>True when the file now carries <see cref="FileSeals.Shrink"/>; false when it cannot be sealed
    /// (an ordinary file, a memfd made without sealing, a descriptor that is read-only).</returns>
    public static bool TrySealShrink(FileDescriptor fd) =>
        (GetSeals(fd) is { } seals && seals.HasFlag(FileSeals.Shrink))
        || Fcntl.fcntl(fd, Fcntl.F_ADD_SEALS, (nint)FileSeals.Shrink) == 0;

    /// <summary>Adds seals for good.</summary>
    /// <exception cref="LinuxException">EPERM: it carries <see cref="FileSeals.Seal"/>, or was made without sealing; EINVAL: files of its
    /// kind carry none; EBUSY: <see cref="FileSeals.Write"/> while a writable mapping exists.</exception>
    public static void AddSeals(FileDescriptor fd, FileSeals seals)
    {
        if (Fcntl.fcntl(fd, Fcntl.F_ADD_SEALS, (nint)seals) < 0)
            LinuxException.ThrowLast("fcntl F_ADD_SEALS", fd);
    }

    /// <summary>The seals on a file, or null when files of its kind cannot carry any.</summary>
    public static FileSeals? GetSeals(FileDescriptor fd)
    {
        int seals = Fcntl.fcntl(fd, Fcntl.F_GET_SEALS, 0);
        return seals < 0 ? null : (FileSeals)seals;
    }
}

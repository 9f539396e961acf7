using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A file, device or pipe to read from without ever waiting for it (O_NONBLOCK, open(2)).</summary>
public sealed unsafe class PolledFile : IDisposable
{
    private readonly FileDescriptor _descriptor;

    private PolledFile(FileDescriptor descriptor) => _descriptor = descriptor;

    /// <summary>Opens a file for reading, close-on-exec. A pipe without a writer opens too, and has nothing to read.</summary>
    /// <param name="path">Its name.</param>
    /// <exception cref="LinuxException">ENOENT, EACCES, …; EISDIR: a directory cannot be read.</exception>
    public static PolledFile Open(string path)
    {
        int fd;
        do
            fd = Fcntl.open(path, Fcntl.O_RDONLY | Fcntl.O_NONBLOCK | Fcntl.O_CLOEXEC);
        while (fd < 0 && Libc.LastError == Errno.EINTR);
        if (fd < 0)
            LinuxException.ThrowLast("open", path);
        FileDescriptor descriptor = FileDescriptor.Adopt(fd);
        try
        {
            return FileFacts.Of(descriptor).Kind != FileKind.Directory
                ? new PolledFile(descriptor)
                : throw new LinuxException(Errno.EISDIR, $"open {path}");
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Reads what is there (read(2)).</summary>
    /// <returns>Bytes read: 0 when there are none now, at a file's end, and when reading failed.</returns>
    public int Read(Span<byte> destination)
    {
        fixed (byte* bytes = destination)
        {
            nint read;
            do
                read = Unistd.read(_descriptor, bytes, (nuint)destination.Length);
            while (read < 0 && Libc.LastError == Errno.EINTR);
            return (int)Math.Max(read, 0);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _descriptor.Dispose();
}

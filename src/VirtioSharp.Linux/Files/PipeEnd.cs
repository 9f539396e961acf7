using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>One end of a pipe, or of what behaves like one, that never makes its user wait (pipe(7), O_NONBLOCK).</summary>
public sealed unsafe class PipeEnd : IDisposable
{
    /// <summary>What <see cref="Read"/> and <see cref="Write"/> return when they would have to wait.</summary>
    public const int WouldBlock = -1;

    private PipeEnd(FileDescriptor descriptor) => Descriptor = descriptor;

    /// <summary>The end itself.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Makes a pipe, close-on-exec.</summary>
    /// <exception cref="LinuxException">EMFILE: too many open files.</exception>
    public static (PipeEnd Reading, PipeEnd Writing) Create()
    {
        int* ends = stackalloc int[2];
        if (Unistd.pipe2(ends, Fcntl.O_CLOEXEC | Fcntl.O_NONBLOCK) < 0)
            LinuxException.ThrowLast("pipe2");
        return (new PipeEnd(FileDescriptor.Adopt(ends[0])), new PipeEnd(FileDescriptor.Adopt(ends[1])));
    }

    /// <summary>Takes an end that somebody else made.</summary>
    /// <param name="descriptor">Owned from here on, also on failure.</param>
    /// <exception cref="LinuxException">ENOTSUP: it is neither a pipe nor a socket, and may make anybody wait.</exception>
    public static PipeEnd Adopt(FileDescriptor descriptor)
    {
        try
        {
            FileKind kind = FileFacts.Of(descriptor).Kind;
            if (kind is not (FileKind.Pipe or FileKind.Socket))
                throw new LinuxException(Errno.EOPNOTSUPP, $"a {kind} in place of a pipe");
            descriptor.SetNonBlocking();
            return new PipeEnd(descriptor);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Reads what is there.</summary>
    /// <returns>Bytes, 0 at the end, or <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">EBADF: this is the writing end.</exception>
    public int Read(Span<byte> destination)
    {
        fixed (byte* bytes = destination)
        {
            while (true)
            {
                nint read = Unistd.read(Descriptor, bytes, (nuint)destination.Length);
                if (read >= 0)
                    return (int)read;
                if (ShouldWait("read"))
                    return WouldBlock;
            }
        }
    }

    /// <summary>Writes what there is room for.</summary>
    /// <returns>Bytes, or <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">EPIPE: nobody reads; EBADF: this is the reading end.</exception>
    public int Write(ReadOnlySpan<byte> source)
    {
        fixed (byte* bytes = source)
        {
            while (true)
            {
                nint written = Unistd.write(Descriptor, bytes, (nuint)source.Length);
                if (written >= 0)
                    return (int)written;
                if (ShouldWait("write"))
                    return WouldBlock;
            }
        }
    }

    /// <summary>Closes it: the other end reads the end, or can write no more.</summary>
    public void Dispose() => Descriptor.Dispose();

    /// <returns>False when the call was only interrupted.</returns>
    private static bool ShouldWait(string call)
    {
        Errno errno = Libc.LastError;
        if (errno is not (Errno.EAGAIN or Errno.EINTR))
            throw new LinuxException(errno, call);
        return errno == Errno.EAGAIN;
    }
}

using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>The kernel's random number generator, without a file and without a pool of our own (getrandom(2)).</summary>
public static unsafe class KernelRandom
{
    /// <summary>Fills a buffer with random bytes. Blocks only until the kernel has been seeded, once, early at boot.</summary>
    /// <param name="buffer">Any length; large ones take several calls, as a signal may cut one short after 256 bytes.</param>
    /// <exception cref="LinuxException">ENOSYS: Linux before 3.17.</exception>
    public static void Fill(Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            int filled = 0;
            while (filled < buffer.Length)
            {
                nint got = SysRandom.getrandom(start + filled, (nuint)(buffer.Length - filled), 0);
                if (got >= 0)
                {
                    filled += (int)got;
                    continue;
                }

                Errno errno = Libc.LastError;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, "getrandom");
            }
        }
    }
}

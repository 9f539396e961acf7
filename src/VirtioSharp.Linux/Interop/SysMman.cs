using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/mman.h&gt;: mmap(2), memfd_create(2).</summary>
internal static unsafe partial class SysMman
{
    public const int PROT_READ = 1;
    public const int PROT_WRITE = 2;
    public const int MAP_SHARED = 0x1;
    public const int MAP_PRIVATE = 0x2;
    public const int MAP_FIXED = 0x10;
    public const int MAP_ANONYMOUS = 0x20;
    public const int MAP_NORESERVE = 0x4000;
    public const int PROT_NONE = 0;
    public const int PROT_EXEC = 4;
    public const int MREMAP_MAYMOVE = 1;
    public const int MREMAP_FIXED = 2;
    public const uint MFD_CLOEXEC = 0x1;
    public const uint MFD_ALLOW_SEALING = 0x2;

    public static readonly nint MAP_FAILED = -1;

    [LibraryImport(Libc.Name)]
    public static partial nint mmap(nint address, nuint length, int protection, int flags, FileDescriptor fd, long offset);

    /// <summary>For MAP_ANONYMOUS, where the descriptor is -1.</summary>
    [LibraryImport(Libc.Name)]
    public static partial nint mmap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport(Libc.Name)]
    public static partial int munmap(nint address, nuint length);

    [LibraryImport(Libc.Name)]
    public static partial int mprotect(nint address, nuint length, int protection);

    /// <summary>An old size of 0 leaves a shared mapping where it is, and maps the same memory once more.</summary>
    [LibraryImport(Libc.Name)]
    public static partial nint mremap(nint oldAddress, nuint oldSize, nuint newSize, int flags, nint newAddress);

    // The marshaller's buffer on the stack holds 255 bytes, as many as the kernel allows here;
    // no free() can come between the call and reading errno.
    [LibraryImport(Libc.Name, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int memfd_create(string name, uint flags);
}

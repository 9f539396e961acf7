namespace VirtioSharp.Linux;

/// <summary>What a descriptor refers to: the S_IFMT part of its mode (inode(7)).</summary>
public enum FileKind
{
    /// <summary>No file type: an anonymous inode such as an eventfd, epoll, timerfd or io_uring.</summary>
    Anonymous = 0,

    /// <summary>A pipe (S_IFIFO).</summary>
    Pipe = 0x1000,

    /// <summary>A character device.</summary>
    CharacterDevice = 0x2000,

    /// <summary>A directory.</summary>
    Directory = 0x4000,

    /// <summary>A block device.</summary>
    BlockDevice = 0x6000,

    /// <summary>A regular file; a memfd is one.</summary>
    Regular = 0x8000,

    /// <summary>A symbolic link (only when asked by path).</summary>
    SymbolicLink = 0xA000,

    /// <summary>A socket.</summary>
    Socket = 0xC000,
}

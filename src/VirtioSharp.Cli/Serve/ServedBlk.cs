using System.CommandLine;
using Microsoft.Extensions.Logging;
using VirtioSharp.Backends.Block;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Device;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Serve;

/// <summary>The block device.</summary>
internal sealed class ServedBlk : IServedDevice
{
    private const string Writeback = "writeback", Writethrough = "writethrough", None = "none", Sync = "sync", IoUring = "io_uring";

    private readonly Option<FileInfo?> _file = new("--blk-file")
    {
        Description = "The disk: a raw image or a block device. What is in it is never looked at, so it is never taken for another format",
        HelpName = "FILE",
    };

    private readonly Option<string?> _null = new("--null")
    {
        Description = "In place of a file, a disk of this size (as in 64G) that reads zero and forgets what is written, to measure with",
        HelpName = "SIZE",
    };

    private readonly Option<bool> _readOnly = new("--read-only") { Description = "Refuse writes" };

    private readonly Option<bool> _shared = new("--shared") { Description = "Let other programs have the file open, too: for a guest that migrates between two daemons, of which one writes at a time" };

    private readonly Option<int> _queues = new("--num-queues")
    {
        Description = "Most request queues that a VMM may use; QEMU takes one for each processor of the guest",
        HelpName = "N",
        DefaultValueFactory = _ => 16,
    };

    private readonly Option<int> _queueSize = new("--queue-size")
    {
        Description = "Most entries of a queue, a power of two",
        HelpName = "N",
        DefaultValueFactory = _ => 1024,
    };

    private readonly Option<string> _cache = new("--cache")
    {
        Description = "writeback: what is written is safe after a flush. writethrough: at once, unless the driver sets it otherwise. none: as writeback, but past the host's page cache",
        HelpName = "MODE",
        DefaultValueFactory = _ => Writeback,
    };

    private readonly Option<string> _serial = new("--serial")
    {
        Description = "The disk's serial number, up to 20 characters",
        HelpName = "TEXT",
        DefaultValueFactory = _ => "",
    };

    private readonly Option<int> _blockSize = new("--block-size")
    {
        Description = "Bytes of a logical block, a power of two from 512 on",
        HelpName = "N",
        DefaultValueFactory = _ => 512,
    };

    private readonly Option<string> _aio = new("--aio")
    {
        Description = "sync: each request waits for the file, which is quickest where the page cache has it. io_uring: requests wait together; for --cache none",
        HelpName = "ENGINE",
        DefaultValueFactory = _ => Sync,
    };

    private UringBackend? _uring;

    public ServedBlk()
    {
        _cache.AcceptOnlyFromAmong(Writeback, Writethrough, None);
        _aio.AcceptOnlyFromAmong(Sync, IoUring);
    }

    public string Name => "blk";

    public string Type => "block";

    public IReadOnlyList<string> Features => ["read-only", "blk-file"];

    public string ExampleOptions => " --blk-file disk.img";

    public string Description => "Serve a disk image or block device (virtio-blk); after SIGHUP its length is looked at again";

    public IEnumerable<Option> Options => [_file, _readOnly, _shared, _queues, _queueSize, _cache, _aio, _serial, _blockSize, _null];

    /// <summary>The disk was made longer or shorter: the driver is told.</summary>
    public Action<VirtioDevice>? OnHangUp => static device => ((BlockDevice)device).LookAtLength();

    public VirtioDevice Create(ParseResult arguments, ILogger log)
    {
        if (arguments.GetValue(_queues) is < 1 or > 256)
            throw new UserException("--num-queues: give 1 to 256", ExitCode.Usage);
        if (arguments.GetValue(_queueSize) is var entries && (entries is < 2 or > 32768 || !int.IsPow2(entries)))
            throw new UserException("--queue-size: give a power of two from 2 to 32768", ExitCode.Usage);
        FileInfo? file = arguments.GetValue(_file);
        string? size = arguments.GetValue(_null);
        if (file is null == size is null)
            throw new UserException("give either --blk-file FILE or --null SIZE, as in: vio serve blk --socket-path /tmp/blk.sock --blk-file disk.img", ExitCode.Usage);
        int blockSize = arguments.GetValue(_blockSize);
        bool isReadOnly = arguments.GetValue(_readOnly);
        string cache = arguments.GetValue(_cache)!;
        IBlockBackend backend = file is null ? new NullBackend((ulong)ByteSize.Parse("--null", size!))
            : Open(file.FullName, new StorageMode(!isReadOnly, cache == None) { Shared = arguments.GetValue(_shared) }, arguments.GetValue(_aio) == IoUring, log);
        _uring = backend as UringBackend;
        (string what, string remedy) = file is null ? ($"--null {size}", "give another size") : ($"--blk-file {file.FullName}", "make it longer with truncate(1)");
        if (backend.Length == 0 || backend.Length % (ulong)Math.Max(blockSize, 1) != 0)
            throw new UserException($"{what}: {backend.Length} bytes are no whole number of blocks of {blockSize}; {remedy}, or choose another --block-size", file is null ? ExitCode.Usage : ExitCode.Failure);
        try
        {
            return new BlockDevice(backend, new BlockDeviceOptions
            {
                QueueCount = arguments.GetValue(_queues),
                QueueSize = entries,
                BlockSize = blockSize,
                IsReadOnly = isReadOnly,
                Writeback = cache != Writethrough,
                Serial = arguments.GetValue(_serial)!,
            });
        }
        catch (ArgumentException wrong)
        {
            throw new UserException(wrong.Message, ExitCode.Usage);
        }
    }

    public void OnConnected(EventLoop loop) => _uring?.Join(loop);

    private static IBlockBackend Open(string path, StorageMode mode, bool uring, ILogger log)
    {
        try
        {
            StorageFile file = OpenPatiently(path, mode);
            if (!file.IsLocked && !mode.Shared)
                log.DiskNotLocked(path);
            return uring ? new UringBackend(file, log) : new FileBackend(file, log);
        }
        catch (LinuxException refused) when (refused.Call == "io_uring_setup")
        {
            throw new UserException($"--aio io_uring: {refused.Message}; serve without it");
        }
        catch (ArgumentException unaligned)
        {
            throw new UserException($"--cache none --blk-file {path}: {unaligned.Message}; make it longer with truncate(1)");
        }
        catch (LinuxException refused)
        {
            throw new UserException(refused.Errno switch
            {
                Errno.ENOENT or Errno.ENOTDIR => $"--blk-file {path}: there is no such file; make one with: truncate -s 1G {path}",
                Errno.EACCES or Errno.EROFS or Errno.EPERM when mode.Writable => $"--blk-file {path}: no permission to read and write it; choose another, or serve it with --read-only",
                Errno.EACCES => $"--blk-file {path}: no permission to read it",
                Errno.EISDIR => $"--blk-file {path}: this is a directory; give a disk image or a block device",
                Errno.ENODEV or Errno.ENXIO => $"--blk-file {path}: this is neither a file nor a block device",
                Errno.EBUSY => $"--blk-file {path}: another program has it open, or it is mounted; end that first, serve it to both with --read-only, or, for a migration, with --shared",
                Errno.EINVAL when mode.Direct => $"--blk-file {path}: its file system cannot bypass the page cache; choose another --cache than none",
                _ => $"--blk-file {path}: {refused.Message}",
            });
        }
    }

    /// <summary>
    /// Writes that a killed daemon had under way go on for a moment, and so does its lock: it keeps them from landing on
    /// what we would write. So a lock is waited for, but not for long.
    /// </summary>
    private static StorageFile OpenPatiently(string path, StorageMode mode)
    {
        for (int left = 40; ; left--)
        {
            try
            {
                return StorageFile.Open(path, mode);
            }
            catch (LinuxException busy) when (busy.Errno == Errno.EBUSY && left > 0)
            {
                Thread.Sleep(25);
            }
        }
    }
}

using System.CommandLine;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using VirtioSharp.Backends.Block;
using VirtioSharp.Backends.Nbd;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Device;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Cli.Serve;

/// <summary>The block device.</summary>
internal sealed class ServedBlk : IServedDevice
{
    private const string Writeback = "writeback", Writethrough = "writethrough", None = "none", Auto = "auto", Sync = "sync", IoUring = "io_uring";

    private readonly Option<FileInfo?> _file = FileOption.Create("--blk-file",
        "The disk: a raw image or a block device. What is in it is never looked at, so it is never taken for another format");

    private readonly Option<string?> _uri = new("--blk-uri")
    {
        Description = "In place of a file, an export of an NBD server: nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH",
        HelpName = "URI",
    };

    private readonly Option<double> _timeout = new("--blk-timeout")
    {
        Description = "With --blk-uri: how many seconds a request waits for a server that is away or does not answer, before the driver is told of an error; 0 waits for ever. Only a queue that stops (a guest that pauses or resets, the end of this program) waits less: 5 seconds for a server that is away, 10 for one that has gone silent",
        HelpName = "S",
        DefaultValueFactory = _ => new NbdBackendOptions().Timeout.TotalSeconds,
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
        Description = "sync: each request waits for the file, which is quickest where the page cache has it. io_uring: requests wait together. auto: io_uring for --cache none, if there is one",
        HelpName = "ENGINE",
        DefaultValueFactory = _ => Auto,
    };

    private IBlockBackend? _backend;

    public ServedBlk()
    {
        _cache.AcceptOnlyFromAmong(Writeback, Writethrough, None);
        _aio.AcceptOnlyFromAmong(Auto, Sync, IoUring);
    }

    public string Name => "blk";

    public string Type => "block";

    public IReadOnlyList<string> Features => ["read-only", "blk-file"];

    public string ExampleOptions => " --blk-file disk.img";

    public string Description => "Serve a disk image or block device (virtio-blk); after SIGHUP its length is looked at again";

    public IEnumerable<Option> Options => [_file, _uri, _timeout, _readOnly, _shared, _queues, _queueSize, _cache, _aio, _serial, _blockSize, _null];

    /// <summary>The disk was made longer or shorter: the driver is told.</summary>
    public Action<VirtioDevice>? OnHangUp => static device => ((BlockDevice)device).LookAtLength();

    public ulong Resize(VirtioDevice device, ulong? bytes, bool mayShrink)
    {
        var disk = (BlockDevice)device;
        ulong now = _backend!.Length; // the driver may not know yet
        if (bytes < now && !mayShrink)
            throw new UserException($"{bytes} bytes are fewer than the disk's {now}, and what lies behind would be lost; if that is meant, say --shrink");
        if (bytes is { } length)
            disk.Resize(length);
        else
            disk.LookAtLength();
        return disk.Capacity * BlockLayout.SectorBytes;
    }

    public void Describe(VirtioDevice device, JsonObject status)
    {
        var disk = (BlockDevice)device;
        status["bytes"] = disk.Capacity * BlockLayout.SectorBytes;
        status["readOnly"] = disk.Traits.Features.Has(BlockFeatures.ReadOnly);
        status["writeback"] = disk.IsWriteback;
        if (_backend is NbdBackend nbd)
            status["server"] = nbd.IsUp ? "connected" : "away";
    }

    public VirtioDevice Create(ParseResult arguments, ILogger log)
    {
        if (arguments.GetValue(_queues) is < 1 or > 256)
            throw new UserException("--num-queues: give 1 to 256", ExitCode.Usage);
        if (arguments.GetValue(_queueSize) is var entries && (entries is < 2 or > 32768 || !int.IsPow2(entries)))
            throw new UserException("--queue-size: give a power of two from 2 to 32768", ExitCode.Usage);
        bool isReadOnly = arguments.GetValue(_readOnly);
        string cache = arguments.GetValue(_cache)!;
        (string what, string remedy, IBlockBackend backend) = OpenWhatIsNamed(arguments, isReadOnly, cache == None, log);
        _backend = backend;
        int blockSize = Math.Max(arguments.GetValue(_blockSize), backend.Traits.LogicalBlockSize);
        if (backend.Length == 0 || backend.Length % (ulong)blockSize != 0)
            throw new UserException($"{what}: {backend.Length} bytes are no whole number of blocks of {blockSize}; {remedy}, or choose another --block-size", backend is NullBackend ? ExitCode.Usage : ExitCode.Failure);
        try
        {
            var device = new BlockDevice(backend, new BlockDeviceOptions
            {
                QueueCount = arguments.GetValue(_queues),
                QueueSize = entries,
                BlockSize = arguments.GetValue(_blockSize),
                IsReadOnly = isReadOnly,
                Writeback = cache != Writethrough,
                Serial = arguments.GetValue(_serial)!,
            });
            if (backend is NbdBackend nbd)
                nbd.LengthChanged = device.LookAtLength;
            return device;
        }
        catch (ArgumentException wrong)
        {
            throw new UserException(wrong.Message, ExitCode.Usage);
        }
    }

    public void OnConnected(EventLoop loop)
    {
        (_backend as UringBackend)?.Join(loop);
        (_backend as NbdBackend)?.Join(loop);
    }

    public void OnEnded() => (_backend as NbdBackend)?.Dispose();

    private (string What, string Remedy, IBlockBackend Backend) OpenWhatIsNamed(ParseResult arguments, bool isReadOnly, bool direct, ILogger log)
    {
        string? file = arguments.GetValue(_file)?.FullName, uri = arguments.GetValue(_uri), size = arguments.GetValue(_null);
        RefuseWhatIsNotOf(uri, arguments, direct);
        return (file, uri, size) switch
        {
            ({ } path, null, null) => ($"--blk-file {path}", "make it longer with truncate(1)",
                Open(path, new StorageMode(!isReadOnly, direct) { Shared = arguments.GetValue(_shared) }, arguments.GetValue(_aio)!, log)),
            (null, { } text, null) => ($"--blk-uri {text}", "let the server export whole blocks", Connect(text, arguments.GetValue(_timeout), log)),
            (null, null, { } text) => ($"--null {text}", "give another size", new NullBackend((ulong)ByteSize.Parse("--null", text))),
            _ => throw new UserException("give either --blk-file FILE, --blk-uri URI or --null SIZE, as in: vio serve blk --socket-path /tmp/blk.sock --blk-file disk.img", ExitCode.Usage),
        };
    }

    /// <summary>An option that would do nothing is a mistake, and may be a dangerous one.</summary>
    private void RefuseWhatIsNotOf(string? uri, ParseResult arguments, bool direct)
    {
        if (uri is null)
        {
            if (IsGiven(_timeout))
                throw new UserException("--blk-timeout: it belongs to --blk-uri; a file's requests take as long as they take", ExitCode.Usage);
            return;
        }

        if (direct)
            throw new UserException("--cache none: it belongs to --blk-file; how an NBD server keeps its export is said to the server", ExitCode.Usage);
        foreach (Option option in (Option[])[_aio, _shared])
        {
            if (IsGiven(option))
                throw new UserException($"{option.Name}: it belongs to --blk-file; leave it out with --blk-uri", ExitCode.Usage);
        }

        bool IsGiven(Option option) => arguments.GetResult(option) is { Implicit: false };
    }

    private static NbdBackend Connect(string uri, double timeout, ILogger log)
    {
        if (timeout is not (>= 0 and <= 1e9))
            throw new UserException("--blk-timeout: give seconds, or 0 to wait for ever", ExitCode.Usage);
        try
        {
            return NbdBackend.Connect(NbdUri.Parse(uri), new NbdBackendOptions { Timeout = TimeSpan.FromMilliseconds(Math.Ceiling(timeout * 1000)) }, log);
        }
        catch (NbdException refused) when (refused.Failure == NbdFailure.Address)
        {
            throw new UserException($"--blk-uri {refused.Message}", ExitCode.Usage);
        }
        catch (NbdException refused)
        {
            throw new UserException($"--blk-uri {uri}: {refused.Message}");
        }
    }

    private static IBlockBackend Open(string path, StorageMode mode, string aio, ILogger log)
    {
        try
        {
            StorageFile file = OpenPatiently(path, mode);
            if (!file.IsLocked && !mode.Shared)
                log.DiskNotLocked(path);
            return AreHeldTogether(aio, mode, log) ? new UringBackend(file, log) : new FileBackend(file, log);
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

    /// <summary>Past the page cache a request takes the disk's time, and only those that wait together use it. Some hosts forbid io_uring.</summary>
    private static bool AreHeldTogether(string aio, StorageMode mode, ILogger log)
    {
        if (aio != Auto || !mode.Direct)
            return aio == IoUring;
        try
        {
            VirtioSharp.Linux.IoUring.Create(1).Dispose();
            return true;
        }
        catch (LinuxException refused)
        {
            log.NoIoUring(refused.Message);
            return false;
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

using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>
/// QEMU's device models, without a guest: this process is the processor. It reads and writes registers through
/// <see cref="Qtest"/> and shares the machine's memory. QEMU lives until this object is disposed, never longer than our process.
/// </summary>
/// <remarks>Dispose what drives its devices first: the memory goes with this object.</remarks>
public sealed class QtestMachine : IAsyncDisposable
{
    // Below are, on a PC, the holes of the first mebibyte and, on ARM, the device tree.
    private const ulong DmaOffset = 1 << 20;

    private readonly QtestMachineFacts _facts;
    private readonly GuestDirectory _files;
    private readonly MappedRegion _memory;
    private readonly QemuProcess _process;
    private QtestClient? _qtest;
    private QmpClient? _qmp;

    private QtestMachine(QtestMachineType type, GuestDirectory files, MappedRegion memory, QemuProcess process)
    {
        (Type, _facts) = (type, QtestMachineFacts.Of(type));
        (_files, _memory, _process) = (files, memory, process);
        Dma = new DmaArena(new MemoryRegion(
            new GuestAddress(_facts.MemoryStart + DmaOffset), memory.Length - DmaOffset, memory.Address + (nint)DmaOffset));
    }

    /// <summary>Which machine it is.</summary>
    public QtestMachineType Type { get; }

    /// <summary>Accesses to its devices.</summary>
    public QtestClient Qtest => _qtest!;

    /// <summary>QEMU's control connection. <see cref="ExecuteAsync"/> keeps the order between it and the accesses.</summary>
    public QmpClient Qmp => _qmp!;

    /// <summary>Its memory, all but the first mebibyte. All drivers of this machine cut from it.</summary>
    public DmaArena Dma { get; }

    /// <summary>QEMU's process id.</summary>
    public int ProcessId => _process.Id;

    /// <summary>QEMU's command line, to show or to paste into a shell; the machine's memory goes with this process.</summary>
    public string CommandLine => _process.CommandLine;

    /// <summary>What QEMU itself had to say.</summary>
    public string ErrorOutput => _process.Output;

    /// <summary>Completes when QEMU has ended, for whatever reason. Never fails.</summary>
    public Task Ended => _process.Ended;

    internal QtestMachineFacts Facts => _facts;

    /// <summary>Says whether the machine's emulator is on this computer; if not, what to install.</summary>
    public static bool CanRun(QtestMachineType machine, [NotNullWhen(false)] out string? whyNot)
    {
        QtestMachineFacts facts = QtestMachineFacts.Of(machine);
        return HostTools.TryFind(facts.Emulator, facts.Package, out _, out whyNot);
    }

    /// <summary>Starts QEMU and waits until the machine with its devices is made.</summary>
    /// <exception cref="GuestException">QEMU is not there, refuses the options, or is not ready in time; the message has its words.</exception>
    public static async Task<QtestMachine> StartAsync(QtestOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MemoryMiB, 2);
        QtestMachineFacts facts = QtestMachineFacts.Of(options.Machine);
        string emulator = HostTools.Find(options.Qemu ?? facts.Emulator, facts.Package);
        long bytes = (long)options.MemoryMiB << 20;
        // QEMU opens it through our process, so there is no file that somebody would have to remove.
        using FileDescriptor memoryFile = MemFd.Create("qtest-ram", bytes);
        MappedRegion memory = MappedRegion.Map(memoryFile, 0, (ulong)bytes);
        GuestDirectory files = new();
        QtestMachine? machine = null;
        try
        {
            facts.Firmware.WriteTo(files.Firmware);
            using UnixListener listener = UnixListener.Listen(files.QtestSocket, nonBlocking: true);
            string memoryPath = $"/proc/{Environment.ProcessId}/fd/{memoryFile.Number}";
            QemuProcess process = new(emulator, QtestCommandLine.For(options, facts, memoryPath, files), files.Path);
            machine = new QtestMachine(options.Machine, files, memory, process);
            await machine.ConnectAsync(listener, options.Patience, cancellationToken).ConfigureAwait(false);
            // Both sockets are connected and the firmware is read: from here on no crash, of whatever, leaves a file behind.
            listener.Dispose();
            files.Dispose();
            return machine;
        }
        catch
        {
            if (machine is not null)
            {
                await machine.DisposeAsync().ConfigureAwait(false);
            }
            else
            {
                files.Dispose();
                memory.Dispose();
            }

            throw;
        }
    }

    /// <summary>Sends a control command after every access that was made before, and waits for what it returns.</summary>
    /// <exception cref="QmpException">QEMU refused it, or is gone.</exception>
    public Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null, CancellationToken cancellationToken = default)
    {
        Qtest.Flush();
        return Qmp.ExecuteAsync(command, arguments, cancellationToken);
    }

    /// <summary>Some of its memory, by the machine's own address. Not to be used after this object is disposed.</summary>
    public Span<byte> Memory(GuestAddress start, int length) => _memory.Slice(checked(start.Value - _facts.MemoryStart), length);

    /// <summary>Kills QEMU as a crash would.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Kills QEMU if it still runs, and removes its files and its memory.</summary>
    public async ValueTask DisposeAsync()
    {
        _qtest?.Dispose();
        await _process.DisposeAsync().ConfigureAwait(false);
        if (_qmp is not null)
            await _qmp.DisposeAsync().ConfigureAwait(false);
        _files.Dispose();
        _memory.Dispose();
    }

    private async Task ConnectAsync(UnixListener listener, TimeSpan patience, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(patience);
        try
        {
            UnixSocket? socket;
            while ((socket = listener.Accept(nonBlocking: true)) is null)
            {
                if (Ended.IsCompleted)
                    throw NotMade(null);
                await Task.Delay(1, limit.Token).ConfigureAwait(false);
            }

            _qtest = new QtestClient(socket, patience, _process.LastWords);
            // QEMU greets once its devices are made; until then, or until it ends, this waits.
            _qmp = await QmpClient.ConnectAsync(_files.QmpSocket, limit.Token).ConfigureAwait(false);
            await InterceptAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new GuestException(
                $"QEMU has not made the machine within {patience.TotalSeconds} s. QEMU says: {ErrorOutput}. Started with: {CommandLine}");
        }
        catch (Exception error) when (error is QmpException or TransportException)
        {
            throw NotMade(error);
        }
    }

    private GuestException NotMade(Exception? cause) =>
        new($"QEMU has not made the machine. QEMU says: {_process.LastWords()}", cause!);

    private async Task InterceptAsync(CancellationToken cancellationToken)
    {
        JsonElement children = await Qmp.ExecuteAsync("qom-list", new() { ["path"] = _facts.ControllerIn }, cancellationToken).ConfigureAwait(false);
        string type = $"child<{_facts.Controller}>";
        foreach (JsonElement child in children.EnumerateArray())
        {
            if (child.GetProperty("type").GetString() != type)
                continue;
            Qtest.InterceptInterrupts($"{_facts.ControllerIn}/{child.GetProperty("name").GetString()}");
            return;
        }

        throw new GuestException($"QEMU's {_facts.Machine} has no {_facts.Controller} in {_facts.ControllerIn}: is it another version than 7.2?");
    }
}

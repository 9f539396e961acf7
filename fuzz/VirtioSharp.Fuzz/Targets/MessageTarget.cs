using System.Runtime.InteropServices;
using VirtioSharp.Fuzz.Engine;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A vhost-user back-end, whose first front-end sends what the input says, and whose second one behaves.</summary>
/// <remarks>
/// All is sent before the server runs, so there is one thread and the same bytes do the same. What must hold: the server ends
/// neither session with a fault of its own, serves the second front-end's request, and leaves no descriptor open.
/// </remarks>
internal sealed class MessageTarget : ITarget, IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"vio-fuzz-{Environment.ProcessId}");
    private readonly Input _input = new();
    private readonly MessageWriter _writer;
    private readonly GoodFrontEnd _good = new();

    public MessageTarget()
    {
        _writer = new MessageWriter(_input);
        RunOnce([]); // what is opened once and for all
    }

    public string Name => "vhost-user";

    public int MaxLength => 2048;

    public void Run(ReadOnlySpan<byte> bytes)
    {
        int lowest = LowestFreeDescriptor();
        RunOnce(bytes);
        if (LowestFreeDescriptor() != lowest)
            RequireNoLeak(bytes);
    }

    /// <summary>The runtime may have opened something. It does so once; what leaks does so each time.</summary>
    private void RequireNoLeak(ReadOnlySpan<byte> bytes)
    {
        const int Times = 4;
        int before = OpenDescriptors();
        for (int i = 0; i < Times; i++)
            RunOnce(bytes);
        int after = OpenDescriptors();
        if (after >= before + Times)
            throw new FindingException($"{after - before} descriptors are left open after {Times} runs");
    }

    public void Dispose()
    {
        _writer.Dispose();
        _good.Dispose();
    }

    private void RunOnce(ReadOnlySpan<byte> bytes)
    {
        _input.Start(bytes);
        var reports = new List<SessionReport>();
        using (var server = new VhostUserServer(new MessageDevice(), UnixListener.Listen(_path), new VhostUserOptions { BusyPoll = TimeSpan.Zero, Added = VhostUserOptions.Optional }))
        {
            server.SessionEnded = report =>
            {
                reports.Add(report);
                if (reports.Count == 2)
                    server.Stop();
            };
            using UnixSocket bad = UnixSocket.Connect(_path);
            _writer.WriteAll(bad);
            EndSending(bad);
            using UnixSocket good = UnixSocket.Connect(_path);
            _good.WriteAll(good);
            EndSending(good);
            server.Run();
        }

        foreach (SessionReport report in reports)
        {
            if (report.Ended?.StartsWith("internal error", StringComparison.Ordinal) == true)
                throw new FindingException(report.Ended);
        }

        if (reports[1].Ended is { } reason)
            throw new FindingException($"the front-end that behaves was hung up on: {reason}");
        _good.RequireServed();
    }

    private static int LowestFreeDescriptor()
    {
        using EventFd probe = EventFd.Create();
        return probe.Descriptor.Number;
    }

    private static int OpenDescriptors() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();

    private static void EndSending(UnixSocket socket)
    {
        const int ForWriting = 1;
        if (shutdown(socket.Descriptor.Number, ForWriting) != 0)
            throw new InvalidOperationException("shutdown failed");

        [DllImport("libc")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        static extern int shutdown(int socket, int how);
    }
}

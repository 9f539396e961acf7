using System.CommandLine;
using Microsoft.Extensions.Logging;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Device;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Serve;

/// <summary>The entropy device.</summary>
internal sealed class ServedRng : IServedDevice
{
    private readonly Option<FileInfo?> _source = FileOption.Create("--rng-source",
        "Take the bytes from this file or device instead of the kernel's getrandom(2)");

    private readonly Option<int?> _maxBytes = new("--max-bytes")
    {
        Description = "Give at most this many bytes in each period; requests then wait, and nothing else does",
        HelpName = "N",
    };

    private readonly Option<int> _period = new("--period")
    {
        Description = "The period of --max-bytes, in milliseconds",
        HelpName = "MS",
        DefaultValueFactory = _ => 1000,
    };

    public string Name => "rng";

    public string Description => "Serve random bytes (virtio-rng)";

    public IEnumerable<Option> Options => [_source, _maxBytes, _period];

    public VirtioDevice Create(ParseResult arguments, ILogger log)
    {
        int period = arguments.GetValue(_period);
        if (period <= 0)
            throw new UserException($"--period {period}: give a positive number of milliseconds", ExitCode.Usage);
        RateLimit? limit = null;
        if (arguments.GetValue(_maxBytes) is { } maxBytes)
        {
            if (maxBytes <= 0)
                throw new UserException($"--max-bytes {maxBytes}: give a positive number of bytes", ExitCode.Usage);
            limit = new RateLimit(maxBytes, TimeSpan.FromMilliseconds(period));
        }

        return new RngDevice(arguments.GetValue(_source) is { } file ? OpenSource(file.FullName) : FromKernel, limit);
    }

    private static int FromKernel(Span<byte> destination)
    {
        KernelRandom.Fill(destination);
        return destination.Length;
    }

    private static EntropySource OpenSource(string path)
    {
        try
        {
            return PolledFile.Open(path).Read;
        }
        catch (LinuxException refused)
        {
            throw new UserException($"--rng-source {path}: {refused.Message}");
        }
    }
}

using System.Text.Json;

namespace VirtioSharp.Cli.Tests;

/// <summary>The back-end program conventions of the vhost-user specification, by which a VMM's manager finds and starts us.</summary>
public sealed class ConventionTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData]
    [InlineData("--no-such-option")]
    [InlineData("--fd", "none", "--max-bytes=-1", "--socket-path", "/nowhere/sock")]
    public async Task Capabilities_are_JSON_whatever_else_was_said(params string[] others)
    {
        Ending run = await VioProcess.RunAsync(["serve", "rng", .. others, "--print-capabilities"]);

        Assert.Equal((0, ""), (run.ExitCode, run.Errors));
        using JsonDocument json = JsonDocument.Parse(run.Output);
        Assert.Equal([("type", "rng")], json.RootElement.EnumerateObject().Select(member => (member.Name, member.Value.GetString())));
    }

    [Fact]
    public async Task Started_as_vio_rng_it_is_vio_serve_rng()
    {
        File.CreateSymbolicLink(_directory["vio-rng"], VioProcess.Program);
        await using VioProcess vio = VioProcess.StartProgram(_directory["vio-rng"], ["--socket-path", _directory["sock"]]);
        await vio.WaitForLogAsync("listening on");

        Ending end = await vio.EndByAsync(VioProcess.SigTerm);

        Assert.Equal(0, end.ExitCode);
        Assert.False(File.Exists(_directory["sock"]));
    }

    [Fact]
    public async Task Started_as_vio_rng_it_prints_its_capabilities()
    {
        File.CreateSymbolicLink(_directory["vio-rng"], VioProcess.Program);
        await using VioProcess vio = VioProcess.StartProgram(_directory["vio-rng"], ["--print-capabilities"]);

        Ending end = await vio.EndAsync();

        Assert.Equal((0, """{"type": "rng"}"""), (end.ExitCode, end.Output.Trim()));
    }
}

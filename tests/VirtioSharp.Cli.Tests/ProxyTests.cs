using System.Text.Json;
using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Drivers.Rng;

namespace VirtioSharp.Cli.Tests;

/// <summary><c>vio proxy</c> between a driver and the real daemon, and <c>vio trace</c> on what it saved.</summary>
public sealed class ProxyTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string Trace => _directory["session.json"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    [Runs("artifacts/vio/vio proxy --listen /tmp/proxy.sock --connect /tmp/rng.sock --trace session.json")]
    public async Task Every_message_is_a_line_and_the_driver_notices_nothing()
    {
        Ending ended = await ReadThroughProxyAsync();

        Assert.Equal(0, ended.ExitCode);
        Assert.Contains("session 1: a front-end connected\n", ended.Output, StringComparison.Ordinal);
        Assert.Matches(@"ms  front-end ─► back-end +SET_MEM_TABLE\n +1 regions\n +guest 0x100000, 1 MiB, user 0x7f0000000000, mmap offset 0x0\n +with /memfd:ram", ended.Output);
        Assert.Matches(@"ms  front-end ◄─ back-end +GET_FEATURES answered after [0-9.]+ ms  features = .*VERSION_1\(32\)", ended.Output);
        Assert.Contains("session 1 ended: the front-end left in good order; features: ", ended.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task For_programs_every_line_is_an_object()
    {
        Ending ended = await ReadThroughProxyAsync("--format", "json");

        JsonElement[] messages = [.. ended.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
        JsonElement kick = messages.First(message => message.GetProperty("name").GetString() == "SET_VRING_KICK");
        Assert.Equal(("FrontEnd", 12, 8), (kick.GetProperty("sender").GetString(), kick.GetProperty("request").GetInt32(), kick.GetProperty("size").GetInt32()));
        Assert.Equal("anon_inode:[eventfd]", kick.GetProperty("descriptors")[0].GetString());
    }

    [Fact]
    [Runs("artifacts/vio/vio trace session.json")]
    public async Task What_was_saved_opens_as_text_as_a_trace_for_Perfetto_and_as_a_picture()
    {
        await ReadThroughProxyAsync();

        Ending text = await VioProcess.RunAsync("trace", Trace);
        Assert.Equal((0, ""), (text.ExitCode, text.Errors));
        Assert.Matches(@"driver +GET_FEATURES\n[ 0-9.]+ +device +├ answer to GET_FEATURES  features = ", text.Output);
        Assert.Contains("it ended: the front-end left in good order", text.Output, StringComparison.Ordinal);
        using JsonDocument perfetto = JsonDocument.Parse((await VioProcess.RunAsync("trace", Trace, "--format", "json")).Output);
        Assert.Contains(perfetto.RootElement.GetProperty("traceEvents").EnumerateArray(), one => one.GetProperty("name").GetString() == "SET_VRING_ADDR");
        Assert.Contains(">SET_VRING_ADDR<", (await VioProcess.RunAsync("trace", Trace, "--format", "svg")).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}", "holds no sessions of 'vio proxy --trace'")]
    [InlineData("no json", "holds no sessions of 'vio proxy --trace'")]
    [InlineData("""{ "kind": "vhost-user sessions, version 1", "listen": "p", "connect": "c", "sessions": [] }""", "has no sessions")]
    [InlineData(null, "cannot be traced")]
    public async Task A_file_that_is_none_of_these_is_refused_in_a_line(string? content, string refusal)
    {
        if (content is not null)
            await File.WriteAllTextAsync(Trace, content, TestContext.Current.CancellationToken);

        Ending ended = await VioProcess.RunAsync("trace", Trace);

        Assert.NotEqual(0, ended.ExitCode);
        Assert.Contains(refusal, Assert.Single(ended.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--listen", "/no/such/directory/p", "--connect", "/x")]
    [InlineData("--listen", "/tmp", "--connect", "/x")]
    [InlineData("--listen", "p")]
    [InlineData("--listen", "p", "--connect", "c", "--trace", "/no/such/directory/t")]
    public async Task What_cannot_be_is_a_line_and_an_exit_code(params string[] arguments)
    {
        Ending ended = await VioProcess.RunAsync(["proxy", .. arguments]);

        Assert.NotEqual(0, ended.ExitCode);
        Assert.StartsWith("vio: ", Assert.Single(ended.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    /// <summary>Reads some bytes through daemon and proxy; the proxy ends with the session.</summary>
    private async Task<Ending> ReadThroughProxyAsync(params string[] options)
    {
        await using VioProcess daemon = await VioProcess.ServeRngAsync(_directory["rng"]);
        await using VioProcess proxy = VioProcess.Start(["proxy", "--listen", _directory["p"], "--connect", _directory["rng"], "--trace", Trace, "--once", .. options]);
        await proxy.WaitForLogAsync("listening on");
        using (var transport = VhostUserTransport.Connect(_directory["p"]))
        using (var driver = new RngDriver(transport))
        {
            byte[] bytes = new byte[1000];
            Assert.Equal(bytes.Length, driver.Read(bytes, TimeSpan.FromSeconds(30)));
            Assert.Contains(bytes, value => value != 0);
        }

        return await proxy.EndAsync();
    }
}

namespace VirtioSharp.Cli.Tests;

/// <summary>Asked wrongly: exit code 2, and one line that says what is wrong.</summary>
public sealed class UsageErrorTests
{
    private const string Socket = "/tmp/never-made.sock";

    [Fact]
    public async Task Serve_needs_a_socket() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng"), 2, "--socket-path", "--fd");

    [Fact]
    public async Task A_socket_path_is_not_left_out() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--socket-path"), 2, "--socket-path");

    [Fact]
    public async Task A_socket_path_is_not_empty() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--socket-path", ""), 2, "--socket-path");

    [Fact]
    public async Task Serve_takes_one_socket_not_two() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--socket-path", Socket, "--fd", "5"), 2, "either --socket-path PATH or --fd N");

    [Theory]
    [InlineData("--no-such-option", "--no-such-option")]
    [InlineData("--busy-poll=-1", "--busy-poll")]
    [InlineData("--busy-poll=1000001", "--busy-poll")]
    [InlineData("--busy-poll=fast", "fast")]
    [InlineData("--max-bytes=0", "--max-bytes 0")]
    [InlineData("--max-bytes=-5", "--max-bytes -5")]
    [InlineData("--max-bytes=1e3", "1e3")]
    [InlineData("--log-level=Loud", "Loud")]
    [InlineData("--without=Everything", "Everything")]
    [InlineData("--without-virtio=warp", "--without-virtio warp: this device offers notify-on-empty, any-layout, indirect-desc, event-idx, access-platform, ring-packed, in-order")]
    [InlineData("--without-virtio=event-idx,flush", "--without-virtio flush: this device offers")]
    [InlineData("--without-virtio=VERSION_1", "cannot be left out")]
    public async Task A_bad_option_is_named(string option, string named)
    {
        Ending run = await VioProcess.RunAsync("serve", "rng", "--socket-path", Socket, option);

        Refusals.AssertOneLine(run, 2, named);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1")]
    public async Task A_period_is_positive(string period)
    {
        Ending run = await VioProcess.RunAsync("serve", "rng", "--socket-path", Socket, "--max-bytes", "1", "--period", period);

        Refusals.AssertOneLine(run, 2, $"--period {period}");
    }

    [Fact]
    public async Task A_bad_period_is_an_error_without_a_limit_too() =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--socket-path", Socket, "--period", "0"), 2, "--period 0");

    [Theory]
    [InlineData("0")]
    [InlineData("2")]
    [InlineData("-1")]
    public async Task Standard_streams_and_negative_numbers_are_no_sockets(string fd) =>
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "rng", "--fd", fd), 2, $"--fd {fd}");

    [Theory]
    [InlineData("feed")]
    [InlineData("serve", "hamster")]
    [InlineData("serve")]
    [InlineData]
    public async Task What_is_no_command_is_answered_with_where_to_read(params string[] arguments) =>
        Refusals.AssertOneLine(await VioProcess.RunAsync(arguments), 2, "--help");
}

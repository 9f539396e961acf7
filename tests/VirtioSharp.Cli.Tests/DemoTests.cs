using System.Text.Json;

namespace VirtioSharp.Cli.Tests;

/// <summary>The program's first minute: no VM, no rights, no files.</summary>
public sealed class DemoTests
{
    [Fact]
    public async Task The_demo_shows_what_driver_and_device_agreed_on_and_did()
    {
        Ending demo = await VioProcess.RunAsync("demo");

        Assert.Equal((0, ""), (demo.ExitCode, demo.Errors));
        Assert.Contains("ACKNOWLEDGE", demo.Output, StringComparison.OrdinalIgnoreCase);
        Assert.Matches(@"0000  ([0-9a-f]{2} ){15}[0-9a-f]{2}", demo.Output);
        Assert.Matches(@"ms for 2500 bytes", demo.Output);
    }

    [Fact]
    public async Task For_programs_the_demo_is_one_JSON_object()
    {
        Ending demo = await VioProcess.RunAsync("demo", "--format", "json", "--bytes", "100");

        Assert.Equal((0, ""), (demo.ExitCode, demo.Errors));
        using JsonDocument json = JsonDocument.Parse(demo.Output);
        Assert.Equal(100, json.RootElement.GetProperty("bytes").GetInt32());
        Assert.Equal(64, json.RootElement.GetProperty("head").GetString()!.Length);
        Assert.Contains(32, json.RootElement.GetProperty("features").EnumerateArray().Select(bit => bit.GetInt32()));
        Assert.True(json.RootElement.GetProperty("queue").GetProperty("bytesWritten").GetInt64() >= 100);
    }

    [Theory]
    [InlineData("pci")]
    [InlineData("mmiolegacy")]
    public async Task A_disk_gives_back_what_was_written_to_it(string transport)
    {
        Ending demo = await VioProcess.RunAsync("demo", "--device", "blk", "--bytes", "1000", "--format", "json", "--transport", transport);

        Assert.Equal((0, ""), (demo.ExitCode, demo.Errors));
        using JsonDocument json = JsonDocument.Parse(demo.Output);
        Assert.Equal(1000, json.RootElement.GetProperty("bytes").GetInt32());
        Assert.Equal(5, json.RootElement.GetProperty("queue").GetProperty("chains").GetInt64()); // two sectors there and back, and a flush
    }

    [Fact]
    public async Task Two_demos_read_different_bytes()
    {
        Ending first = await VioProcess.RunAsync("demo", "--format", "json");
        Ending second = await VioProcess.RunAsync("demo", "--format", "json");

        Assert.NotEqual(Head(first), Head(second));

        static string? Head(Ending demo) => JsonDocument.Parse(demo.Output).RootElement.GetProperty("head").GetString();
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("many")]
    public async Task A_number_of_bytes_that_makes_no_sense_is_a_usage_error(string bytes)
    {
        Ending demo = await VioProcess.RunAsync("demo", "--bytes", bytes);

        Refusals.AssertOneLine(demo, exitCode: 2, bytes);
    }
}

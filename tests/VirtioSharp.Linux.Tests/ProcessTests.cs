namespace VirtioSharp.Linux.Tests;

public sealed class ProcessTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(257)]
    [InlineData(1_000_003)]
    public void Random_bytes_fill_the_whole_buffer_and_no_more(int length)
    {
        byte[] buffer = new byte[length + 64];

        KernelRandom.Fill(buffer.AsSpan(32, length));

        Assert.All(buffer[..32], b => Assert.Equal(0, b));
        Assert.All(buffer[^32..], b => Assert.Equal(0, b));
        // 64 zeros in a row do not happen by chance within the age of the universe.
        Assert.Equal(-1, buffer.AsSpan(32, length).IndexOf(new byte[64]));
    }

    [Fact]
    public void Open_descriptors_are_counted()
    {
        int before = ProcessFacts.OpenDescriptorCount;

        using EventFd one = EventFd.Create();
        using EventFd two = EventFd.Create();

        Assert.Equal(before + 2, ProcessFacts.OpenDescriptorCount);
    }

    [Fact]
    public void Resident_memory_is_that_of_a_running_process() =>
        Assert.InRange(ProcessFacts.ResidentBytes, 1L << 20, 1L << 40);

    [Fact]
    public void The_name_a_program_was_started_by_has_no_directory()
    {
        Assert.NotEmpty(ProcessFacts.StartedAs);
        Assert.DoesNotContain('/', ProcessFacts.StartedAs);
    }
}

namespace VirtioSharp.Linux.Tests;

public sealed class FileFactsTests
{
    [Fact]
    public void A_regular_file_tells_its_size()
    {
        using TemporaryDirectory directory = new();
        File.WriteAllBytes(directory["disk"], new byte[12_345]);

        FileFacts facts = FileFacts.OfPath(directory["disk"])!.Value;

        Assert.True(facts.IsRegular);
        Assert.Equal(12_345u, facts.Size);
    }

    [Fact]
    public void A_memfd_is_a_regular_file_and_follows_its_resizing()
    {
        using FileDescriptor file = MemFd.Create("ram", 5L << 30);
        Assert.Equal((FileKind.Regular, 5ul << 30), (FileFacts.Of(file).Kind, FileFacts.Of(file).Size));

        MemFd.Resize(file, 100);

        Assert.Equal(100u, FileFacts.Of(file).Size);
    }

    [Fact]
    public void Kinds_are_told_apart()
    {
        using TemporaryDirectory directory = new();
        using EventFd counter = EventFd.Create();
        using Peer peer = Peer.Connect();
        File.CreateSymbolicLink(directory["link"], "/nowhere");

        Assert.Equal(FileKind.Anonymous, FileFacts.Of(counter.Descriptor).Kind);
        Assert.Equal(FileKind.Socket, FileFacts.Of(peer.Here.Descriptor).Kind);
        Assert.Equal(FileKind.CharacterDevice, FileFacts.OfPath("/dev/null")!.Value.Kind);
        Assert.Equal(FileKind.Directory, FileFacts.OfPath("/")!.Value.Kind);
        Assert.Equal(FileKind.SymbolicLink, FileFacts.OfPath(directory["link"])!.Value.Kind);
    }

    [Fact]
    public void Nothing_at_a_path_is_no_error() => Assert.Null(FileFacts.OfPath("/nowhere/at/all"));

    [Fact]
    public void Two_descriptors_of_one_file_have_one_identity_and_two_files_have_two()
    {
        using FileDescriptor one = MemFd.Create("one", 0);
        using FileDescriptor same = one.Duplicate();
        using FileDescriptor other = MemFd.Create("other", 0);

        Assert.Equal(FileFacts.Of(one).Identity, FileFacts.Of(same).Identity);
        Assert.NotEqual(FileFacts.Of(one).Identity, FileFacts.Of(other).Identity);
    }
}

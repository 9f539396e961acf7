namespace VirtioSharp.Qemu.Tests;

public class InitramfsTests
{
    [Fact]
    public void The_base_archive_is_built_once_and_then_reused()
    {
        DebianKernel kernel = Guests.KernelOrSkip();
        using TemporaryDirectory cache = new();

        Initramfs first = Initramfs.Prepare(kernel, cacheDirectory: cache.Path);
        Initramfs second = Initramfs.Prepare(kernel, cacheDirectory: cache.Path);

        Assert.False(first.WasCached);
        Assert.True(second.WasCached);
        Assert.Equal(first.BaseArchive, second.BaseArchive);
        Assert.Equal([first.BaseArchive], Directory.GetFiles(cache.Path));
    }

    [Fact]
    public void Other_modules_make_another_archive()
    {
        DebianKernel kernel = Guests.KernelOrSkip();
        using TemporaryDirectory cache = new();

        Initramfs usual = Initramfs.Prepare(kernel, cacheDirectory: cache.Path);
        Initramfs withNet = Initramfs.Prepare(kernel, ["virtio_net"], cache.Path);

        Assert.NotEqual(usual.BaseArchive, withNet.BaseArchive);
    }

    [Fact]
    public void A_module_that_does_not_exist_is_an_error_that_names_it()
    {
        DebianKernel kernel = Guests.KernelOrSkip();

        GuestException error = Assert.Throws<GuestException>(() => Initramfs.Prepare(kernel, ["virtio_hamster"]));

        Assert.Contains("no module virtio_hamster", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_cpio_program_can_read_what_we_write()
    {
        if (!HostTools.TryFind("cpio", "cpio", out string? cpio, out string? whyNot))
            Assert.Skip(whyNot);
        using TemporaryDirectory folder = new();
        string archive = folder["a.cpio"];
        using (FileStream stream = File.Create(archive))
        {
            CpioWriter writer = new(stream);
            writer.AddDirectory("bin");
            writer.AddProgram("bin/hello", "#!/bin/sh\necho hello\n"u8);
            writer.AddLink("bin/hi", "hello");
            writer.Finish();
        }

        string listing = System.Text.Encoding.UTF8.GetString(HostTools.Run("/bin/sh", "-c", $"{cpio} -tv --quiet <{archive}"));

        Assert.Matches("drwxr-xr-x .* bin\n", listing);
        Assert.Matches("-rwxr-xr-x .* 21 .* bin/hello\n", listing);
        Assert.Matches("lrwxrwxrwx .* bin/hi -> hello\n", listing);
    }
}

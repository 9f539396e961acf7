namespace VirtioSharp.Qemu.Tests;

public class KernelTests
{
    [Fact]
    public void The_newest_kernel_is_found_by_number_not_by_letter()
    {
        using TemporaryDirectory root = new();
        Install(root, "6.1.0-9-cloud-amd64");
        Install(root, "6.1.0-56-cloud-amd64");
        Write(root, "boot/vmlinuz-6.1.0-99-amd64", "not a cloud kernel");

        bool found = Find(root, out DebianKernel? kernel, out _);

        Assert.True(found);
        Assert.Equal("6.1.0-56-cloud-amd64", kernel?.Release);
    }

    [Fact]
    public void A_kernel_without_its_modules_is_passed_over()
    {
        using TemporaryDirectory root = new();
        Install(root, "6.1.0-9-cloud-amd64");
        Write(root, "boot/vmlinuz-6.1.0-56-cloud-amd64", "the image of a removed package");

        bool found = Find(root, out DebianKernel? kernel, out _);

        Assert.True(found);
        Assert.Equal("6.1.0-9-cloud-amd64", kernel?.Release);
    }

    [Fact]
    public void Without_a_kernel_the_reason_names_the_package_to_install()
    {
        using TemporaryDirectory root = new();

        bool found = Find(root, out _, out string? whyNot);

        Assert.False(found);
        Assert.Contains("apt install linux-image-cloud-amd64", whyNot, StringComparison.Ordinal);
    }

    [Fact]
    public void Modules_come_after_what_they_need_and_only_once()
    {
        using TemporaryDirectory root = new();
        Install(root, "6.1.0-9-cloud-amd64", """
            kernel/virtio_ring.ko:
            kernel/virtio.ko.xz: kernel/virtio_ring.ko
            kernel/virtio-rng.ko: kernel/virtio.ko.xz kernel/virtio_ring.ko
            """);
        Find(root, out DebianKernel? kernel, out _);

        IReadOnlyList<string> order = KernelModules.InInsertionOrder(kernel!, ["virtio_rng", "virtio", "built_in"]);

        Assert.Equal(["virtio_ring.ko", "virtio.ko", "virtio_rng.ko"], order.Select(KernelModules.FileName));
    }

    private static bool Find(TemporaryDirectory root, out DebianKernel? kernel, out string? whyNot) =>
        DebianKernel.TryFind(root["boot"], root["modules"], out kernel, out whyNot);

    private static void Install(TemporaryDirectory root, string release, string dependencies = "")
    {
        Write(root, $"boot/vmlinuz-{release}", "image");
        Write(root, $"modules/{release}/modules.dep", dependencies);
        Write(root, $"modules/{release}/modules.builtin", "kernel/built-in.ko\n");
    }

    private static void Write(TemporaryDirectory root, string name, string content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(root[name])!);
        File.WriteAllText(root[name], content);
    }
}

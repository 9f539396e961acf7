namespace VirtioSharp.Qemu;

/// <summary>The files of one guest, in a folder of its own that goes away with it.</summary>
internal sealed class GuestDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("vio-guest-").FullName;

    public string Initramfs => System.IO.Path.Combine(Path, "initramfs.cpio");

    public string ResultsDisk => System.IO.Path.Combine(Path, "results.raw");

    // A unix socket's name ends after 107 characters; under /tmp ours has room to spare.
    public string QmpSocket => System.IO.Path.Combine(Path, "qmp");

    public string QtestSocket => System.IO.Path.Combine(Path, "qtest");

    public string Firmware => System.IO.Path.Combine(Path, "firmware");

    /// <summary>An empty disk with room for the results and, in its last sector, for what the guest remembers.</summary>
    public void CreateResultsDisk(long bytes)
    {
        const int block = 4096;
        using FileStream disk = File.Create(ResultsDisk);
        disk.SetLength(((bytes + block - 1) / block * block) + block);
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Somebody cleaned up before us.
        }
    }
}

using System.Globalization;
using System.Text;

namespace VirtioSharp.Qemu;

/// <summary>
/// Writes the archive format that Linux unpacks at boot ("newc": Documentation/driver-api/early-userspace).
/// Writing it here needs no temporary tree, no root and no cpio program.
/// </summary>
/// <remarks>
/// <code>
/// "070701" ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
///          each 8 hexadecimal digits │ name NUL, padded to 4 │ data, padded to 4
/// </code>
/// Archives can follow each other in one file; a later one adds to the earlier.
/// </remarks>
internal sealed class CpioWriter(Stream output)
{
    private const uint DirectoryType = 0x4000; // S_IFDIR
    private const uint FileType = 0x8000; // S_IFREG
    private const uint LinkType = 0xA000; // S_IFLNK
    private long _written;
    private uint _inode;

    public void AddDirectory(string name) => Add(name, DirectoryType | Convert.ToUInt32("755", 8), []);

    public void AddProgram(string name, ReadOnlySpan<byte> content) => Add(name, FileType | Convert.ToUInt32("755", 8), content);

    public void AddLink(string name, string target) =>
        Add(name, LinkType | Convert.ToUInt32("777", 8), Encoding.UTF8.GetBytes(target));

    public void Finish()
    {
        Add("TRAILER!!!", 0, []);
        // The kernel looks for the next archive on a multiple of four; whole blocks are customary.
        Pad(512);
    }

    private void Add(string name, uint mode, ReadOnlySpan<byte> content)
    {
        byte[] nameBytes = Encoding.UTF8.GetBytes(name + '\0');
        _inode++;
        StringBuilder header = new("070701");
        foreach (uint field in (ReadOnlySpan<uint>)
            [_inode, mode, 0, 0, 1, 0, (uint)content.Length, 0, 0, 0, 0, (uint)nameBytes.Length, 0])
        {
            header.Append(field.ToString("X8", CultureInfo.InvariantCulture));
        }
        Write(Encoding.ASCII.GetBytes(header.ToString()));
        Write(nameBytes);
        Pad(4);
        Write(content);
        Pad(4);
    }

    private void Pad(int multiple) => Write(new byte[(int)((multiple - (_written % multiple)) % multiple)]);

    private void Write(ReadOnlySpan<byte> bytes)
    {
        output.Write(bytes);
        _written += bytes.Length;
    }
}

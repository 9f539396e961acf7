using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>The memory in which a back-end notes what it has taken and not used (INFLIGHT_SHMFD). We keep it for the next back-end, and
/// never look into it.</summary>
internal sealed class KeptInflightBuffer : IDisposable
{
    private readonly InflightDescription _description;
    private readonly FileDescriptor _file;

    private KeptInflightBuffer(InflightDescription description, FileDescriptor file) => (_description, _file) = (description, file);

    /// <summary>Has the back-end make one.</summary>
    /// <returns>Null when it has no need of one.</returns>
    /// <exception cref="VhostUserException">What it made cannot be.</exception>
    public static KeptInflightBuffer? Ask(FrontEndChannel channel, int queues, int queueSize)
    {
        const FrontEndRequest Request = FrontEndRequest.GetInflightFd;
        var wanted = new InflightDescription(0, 0, (ushort)queues, (ushort)queueSize);
        InflightDescription made = MemoryMarshal.Read<InflightDescription>(
            channel.Ask(Request, MemoryMarshal.AsBytes(new ReadOnlySpan<InflightDescription>(in wanted)), maxFds: 1, InflightDescription.Bytes));
        FileDescriptor? file = channel.TakeFd();
        if (made.MmapSize == 0 && file is null)
            return null;
        if (file is null)
            throw channel.Distrust(Request, $"the answer to GET_INFLIGHT_FD came without a file descriptor, and mmap size = {made.MmapSize}");
        try
        {
            ulong bytes = FileFacts.Of(file).Size;
            if (made.MmapOffset > bytes || made.MmapSize > bytes - made.MmapOffset)
                throw channel.Distrust(Request, $"GET_INFLIGHT_FD: mmap size = 0x{made.MmapSize:x} at mmap offset = 0x{made.MmapOffset:x} is not within the file's 0x{bytes:x} bytes");
            return new KeptInflightBuffer(new InflightDescription(made.MmapSize, made.MmapOffset, wanted.NumQueues, wanted.QueueSize), file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Gives it back, to whichever back-end is there now.</summary>
    public void GiveTo(FrontEndChannel channel) => channel.Send(FrontEndRequest.SetInflightFd, _description, _file);

    public void Dispose() => _file.Dispose();
}

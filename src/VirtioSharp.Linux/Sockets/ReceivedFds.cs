using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>
/// The descriptors that came with one message, each owned here until taken. A reusable list: <see cref="Clear"/> closes
/// whatever the message's handler did not want, so that a peer cannot make us leak by sending more than a message calls for.
/// </summary>
/// <remarks>
/// A message may be read in several calls and descriptors may come with each; they add up, and <see cref="Capacity"/>
/// bounds the sum: what does not fit is closed by the kernel and <see cref="Truncated"/> is set.
/// </remarks>
public sealed unsafe class ReceivedFds : IDisposable
{
    private readonly FileDescriptor?[] _fds;
    private readonly ulong[] _control;

    /// <summary>An empty list.</summary>
    /// <param name="capacity">How many descriptors it holds at most; 253 come with one sendmsg(2) at most.</param>
    public ReceivedFds(int capacity = SysSocket.MaxFdsPerMessage)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, SysSocket.MaxFdsPerMessage);
        _fds = new FileDescriptor?[capacity];
        // Pinned for good, as recvmsg writes here; of words, for cmsghdr's alignment.
        _control = GC.AllocateArray<ulong>(SysSocket.CmsgAlign(SysSocket.CmsgLength(capacity)) / sizeof(ulong), pinned: true);
    }

    /// <summary>How many it can hold.</summary>
    public int Capacity => _fds.Length;

    /// <summary>How many have come since the last <see cref="Clear"/>, taken or not.</summary>
    public int Count { get; private set; }

    /// <summary>Some descriptors were lost (MSG_CTRUNC): too many came, or this process has too many open files.</summary>
    public bool Truncated { get; private set; }

    /// <summary>Hands a descriptor over to the caller.</summary>
    /// <param name="index">Which, in the order sent; less than <see cref="Count"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such descriptor came.</exception>
    /// <exception cref="InvalidOperationException">It has been taken before.</exception>
    public FileDescriptor Take(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count, nameof(index));
        FileDescriptor fd = _fds[index] ?? throw new InvalidOperationException($"Descriptor {index} has been taken before.");
        _fds[index] = null;
        return fd;
    }

    /// <summary>Closes what was not taken and makes the list empty.</summary>
    public void Clear()
    {
        for (int i = 0; i < Count; i++)
        {
            _fds[i]?.Dispose();
            _fds[i] = null;
        }

        Count = 0;
        Truncated = false;
    }

    /// <summary>The same as <see cref="Clear"/>; the list can be used again.</summary>
    public void Dispose() => Clear();

    /// <summary>Room for as many descriptors as still fit, and not the alignment's one more.</summary>
    internal void LendControl(ref SysSocket.Msghdr message)
    {
        int room = Capacity - Count;
        message.Control = room == 0 ? null : Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_control));
        message.ControlLength = room == 0 ? 0 : (nuint)SysSocket.CmsgLength(room);
    }

    /// <summary>Adopts everything the kernel has put into the control buffer, before anything else can go wrong.</summary>
    internal void Adopt(in SysSocket.Msghdr message)
    {
        Truncated |= (message.Flags & SysSocket.MSG_CTRUNC) != 0;
        int end = (int)message.ControlLength;
        int at = 0;
        while (end - at >= sizeof(SysSocket.Cmsghdr))
        {
            byte* control = (byte*)message.Control + at;
            SysSocket.Cmsghdr header = *(SysSocket.Cmsghdr*)control;
            if (header.Length < (nuint)sizeof(SysSocket.Cmsghdr) || header.Length > (nuint)(end - at))
                return; // the kernel does not write such
            if (header.Level == SysSocket.SOL_SOCKET && header.Type == SysSocket.SCM_RIGHTS)
                AdoptRights(new ReadOnlySpan<int>(
                    control + sizeof(SysSocket.Cmsghdr), ((int)header.Length - sizeof(SysSocket.Cmsghdr)) / sizeof(int)));
            at += SysSocket.CmsgAlign((int)header.Length);
        }
    }

    private void AdoptRights(ReadOnlySpan<int> numbers)
    {
        foreach (int number in numbers)
            _fds[Count++] = FileDescriptor.Adopt(number);
    }
}

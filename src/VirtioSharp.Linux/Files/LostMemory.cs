using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>
/// Lets this process outlive a file that a peer cuts short while it is mapped here. Touching what is gone raises SIGBUS;
/// for a region that is watched, zeroes are then put in its place up to its end, it is counted, and the access goes on.
/// </summary>
/// <remarks>
/// A handler may run in the middle of anything, so it is not C#: a few instructions that look through a table and call
/// mmap(2). They are written for x86-64 only; elsewhere nothing is watched. What is not in the table goes on to the
/// handler that was there before, the runtime's.
/// </remarks>
internal static unsafe class LostMemory
{
    private const int Places = 2048;
    private const int Protection = SysMman.PROT_READ | SysMman.PROT_WRITE;
    private const int Flags = SysMman.MAP_PRIVATE | SysMman.MAP_ANONYMOUS | SysMman.MAP_NORESERVE | SysMman.MAP_FIXED;

    private static readonly Lock Turn = new();
    private static Place* _table;
    private static bool _isRefused;

    /// <summary>How often something was gone, in all regions. Changes before whoever touched it goes on.</summary>
    public static ulong Count => _table == null ? 0 : Volatile.Read(ref _table[Places].Lost);

    /// <summary>Watches a range.</summary>
    /// <param name="start">Its first page.</param>
    /// <param name="end">Where it ends, a whole page too.</param>
    /// <param name="page">Bytes in a page of it.</param>
    /// <returns>Its place; -1 when there is none.</returns>
    public static int Watch(nint start, nint end, nuint page)
    {
        lock (Turn)
        {
            if (!IsThere())
                return -1;
            for (int place = 0; place < Places; place++)
            {
                if (_table[place].End != 0)
                    continue;
                (_table[place].Start, _table[place].Lost, _table[place].Page) = (start, 0, page);
                Volatile.Write(ref _table[place].End, end); // last: what is half written holds no address
                return place;
            }

            return -1;
        }
    }

    /// <summary>Whether something of a range was gone when it was touched.</summary>
    public static bool IsLost(int place) => Volatile.Read(ref _table[place].Lost) != 0;

    /// <summary>Watches it no more. To be called before it is unmapped.</summary>
    public static void Forget(int place)
    {
        lock (Turn)
            Volatile.Write(ref _table[place].End, 0);
    }

    private static bool IsThere()
    {
        if (_table != null || _isRefused)
            return _table != null;
        _isRefused = true;
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return false;
        SysSignal.SignalAction action;
        if (SysSignal.sigaction(SysSignal.SIGBUS, null, &action) != 0)
            return false;

        // One place more than there are, for the sum. Never freed: a signal may come at any time.
        var table = (Place*)NativeMemory.AllocZeroed((nuint)sizeof(Place) * (Places + 1));
        nint code = Write(Handler((nint)table, action.Handler));
        if (code == 0)
            return false;
        action.Handler = code;
        action.Flags |= SysSignal.SA_SIGINFO;
        if (SysSignal.sigaction(SysSignal.SIGBUS, &action, null) != 0)
            return false;
        _table = table;
        return true;
    }

    /// <summary>Puts instructions where they can be run.</summary>
    private static nint Write(ReadOnlySpan<byte> instructions)
    {
        nuint length = (nuint)Environment.SystemPageSize;
        nint page = SysMman.mmap(0, length, Protection, SysMman.MAP_PRIVATE | SysMman.MAP_ANONYMOUS, -1, 0);
        if (page == SysMman.MAP_FAILED)
            return 0;
        instructions.CopyTo(new Span<byte>((void*)page, instructions.Length));
        return SysMman.mprotect(page, length, SysMman.PROT_READ | SysMman.PROT_EXEC) == 0 ? page : 0;
    }

    /// <summary>The handler: rdi is the signal, rsi the siginfo_t, rdx the context.</summary>
    private static byte[] Handler(nint table, nint before)
    {
        byte[] code =
        [
            0x83, 0x7E, 0x08, 0x02,                         //        cmp  dword [rsi+8], BUS_ADRERR
            0x75, 117,                                      //        jne  before
            0x48, 0x8B, 0x46, 0x10,                         //        mov  rax, [rsi+16]         the address
            0x49, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0,             //        mov  r8, table
            0xB9, 0, 0, 0, 0,                               //        mov  ecx, places
            0x49, 0x3B, 0x00,                               // next:  cmp  rax, [r8]             start
            0x72, 85,                                       //        jb   other
            0x49, 0x3B, 0x40, 0x08,                         //        cmp  rax, [r8+8]           end
            0x73, 79,                                       //        jae  other
            0xF0, 0x49, 0xFF, 0x40, 0x10,                   //   lock inc  qword [r8+16]         lost
            0x57, 0x56, 0x52,                               //        push rdi, rsi, rdx
            0x49, 0x8B, 0x78, 0x18,                         //        mov  rdi, [r8+24]          page
            0x48, 0xF7, 0xDF,                               //        neg  rdi
            0x48, 0x21, 0xC7,                               //        and  rdi, rax              from this page on
            0x49, 0x8B, 0x70, 0x08,                         //        mov  rsi, [r8+8]
            0x48, 0x29, 0xFE,                               //        sub  rsi, rdi              up to the end
            0x49, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0,             //        mov  r8, the sum
            0xF0, 0x49, 0xFF, 0x00,                         //   lock inc  qword [r8]
            0xBA, Protection, 0, 0, 0,                      //        mov  edx, protection
            0x41, 0xBA, 0, 0, 0, 0,                         //        mov  r10d, flags
            0x49, 0xC7, 0xC0, 0xFF, 0xFF, 0xFF, 0xFF,       //        mov  r8, -1
            0x45, 0x31, 0xC9,                               //        xor  r9d, r9d
            0xB8, 0x09, 0, 0, 0,                            //        mov  eax, mmap
            0x0F, 0x05,                                     //        syscall
            0x5A, 0x5E, 0x5F,                               //        pop  rdx, rsi, rdi
            0x48, 0x3D, 0x01, 0xF0, 0xFF, 0xFF,             //        cmp  rax, -4095
            0x73, 9,                                        //        jae  before
            0xC3,                                           //        ret                        the access is made again
            0x49, 0x83, 0xC0, 0x20,                         // other: add  r8, 32
            0xFF, 0xC9,                                     //        dec  ecx
            0x75, 158,                                      //        jnz  next
            0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0,             // before: mov rax, before
            0xFF, 0xE0,                                     //        jmp  rax
        ];
        BinaryPrimitives.WriteInt64LittleEndian(code.AsSpan(12), table);
        BinaryPrimitives.WriteInt32LittleEndian(code.AsSpan(21), Places);
        BinaryPrimitives.WriteInt64LittleEndian(code.AsSpan(63), table + Places * sizeof(Place) + 2 * sizeof(ulong)); // .Lost of the last one
        BinaryPrimitives.WriteInt32LittleEndian(code.AsSpan(82), Flags);
        BinaryPrimitives.WriteInt64LittleEndian(code.AsSpan(125), before);
        return code;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Place
    {
        public nint Start, End;
        public ulong Lost;
        public nuint Page;
    }
}

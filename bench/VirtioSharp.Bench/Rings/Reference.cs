using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Bench.Rings;

/// <summary>The other implementation, in C (Reference/reference.c): compiled when it is needed, and called for a whole run at a time.</summary>
internal static unsafe partial class Reference
{
    private const string Library = "virtio-reference";

    // What the run functions return instead of a count.
    public const int Broken = -1, WrongContent = -2, Full = -3, Faulty = -4;

    // What driver and device that talk to each other agree on (Reference/talk.h).
    public const ulong Magic = 0x9E3779B97F4A7C15;
    public const int TestSlots = 256, TestData = 64;

    private static readonly Lazy<(nint Handle, string WhyNot)> Built = new(Build);

    public readonly record struct Buffer(ulong Address, nint Host, int Length);

    /// <summary>Plays the driver for a device that is measured alone.</summary>
    public struct Refill
    {
#pragma warning disable CS0649 // C changes them

        public nint Ring, Turn0, Turn1;
        public ulong Bytes;
        public nint AvailableIndex;
        public ushort Index, Batch;
        public uint Packed, Turn;
#pragma warning restore CS0649
    }

    /// <summary>Compiles the library with gcc -O2 and loads it, at the first call.</summary>
    /// <returns>False when there is no gcc, or it failed.</returns>
    public static bool IsAvailable(out string whyNot)
    {
        whyNot = Built.Value.WhyNot;
        return Built.Value.Handle != 0;
    }

    private static (nint, string) Build()
    {
        if (RuntimeInformation.ProcessArchitecture is not (Architecture.X64 or Architecture.Arm64))
            return (0, "the C reference is for 64-bit little-endian processors");
        DirectoryInfo directory = Directory.CreateTempSubdirectory("vio-reference-");
        try
        {
            string library = Path.Combine(directory.FullName, "libvirtio-reference.so");
            string source = Path.Combine(AppContext.BaseDirectory, "Reference", "reference.c");
            using Process gcc = Process.Start(new ProcessStartInfo("gcc", ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-o", library, source])
            {
                RedirectStandardError = true,
            })!;
            string errors = gcc.StandardError.ReadToEnd();
            gcc.WaitForExit();
            if (gcc.ExitCode != 0)
                return (0, $"gcc could not compile {source}: {errors}");
            nint handle = NativeLibrary.Load(library); // stays mapped when the file is gone
            NativeLibrary.SetDllImportResolver(Assembly.GetExecutingAssembly(), (name, _, _) => name == Library ? handle : 0);
            return (handle, "");
        }
        catch (Win32Exception missing)
        {
            return (0, $"there is no gcc to compile the C reference with (apt install gcc libc6-dev): {missing.Message}");
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [LibraryImport(Library)]
    public static partial nint ref_device_new(int packed, int size, void* descriptors, void* driver, void* device, int indirect, int eventIdx, MemoryRegion* regions, int regionCount);

    [LibraryImport(Library)]
    public static partial void ref_device_free(nint device);

    [LibraryImport(Library)]
    public static partial long ref_device_bench(nint device, Refill* refill, long batches, int batch);

    [LibraryImport(Library)]
    public static partial long ref_device_bench_model(nint device, Refill* refill, long batches);

    [LibraryImport(Library)]
    public static partial long ref_device_serve(nint device, long chains, int batch, int wait);

    [LibraryImport(Library)]
    public static partial nint ref_driver_new(int packed, int size, void* descriptors, void* driver, void* device, int eventIdx, ulong tablesAddress, void* tables);

    [LibraryImport(Library)]
    public static partial void ref_driver_free(nint driver);

    [LibraryImport(Library)]
    public static partial long ref_driver_bench(nint driver, nint nullDevice, Buffer* buffers, int readable, int count, long batches, int batch);

    [LibraryImport(Library)]
    public static partial long ref_driver_drive(nint driver, Buffer* buffers, long chains, int depth);

    [LibraryImport(Library)]
    public static partial int ref_driver_submit(nint driver, Buffer* buffers, int chains);

    [LibraryImport(Library)]
    public static partial long ref_driver_collect(nint driver, Buffer* buffers);

    [LibraryImport(Library)]
    public static partial nint ref_null_device_new(int packed, int size, void* descriptors, void* driver, void* device, int batch, int slots, int written);

    [LibraryImport(Library)]
    public static partial void ref_null_device_free(nint nullDevice);

    // Both run for well under a microsecond and never block, so the transition would be a part of what is measured.
    [LibraryImport(Library), SuppressGCTransition]
    public static partial void ref_refill(Refill* refill);

    [LibraryImport(Library), SuppressGCTransition]
    public static partial void ref_null_device_use(nint nullDevice);
}

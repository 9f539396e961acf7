using System.Runtime;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>Sees to it that as many descriptors are open, memory regions mapped and threads running as when it was made.</summary>
internal sealed class LeakCheck : IDisposable
{
    private const long MostAllocated = 64 << 20;

    private readonly bool _holdsOff;
    private readonly int _descriptors;
    private readonly int _mappings;
    private readonly int _threads;

    /// <param name="holdOffCollector">Whether the collector must not run meanwhile: finalizers close what was forgotten, and
    /// would hide it. What is checked then must not allocate much.</param>
    public LeakCheck(bool holdOffCollector = true)
    {
        _holdsOff = holdOffCollector;
        if (_holdsOff)
        {
            GC.Collect(); // holding it off gives no new budget for pinned arrays, of which each session has some
            GC.WaitForPendingFinalizers(); // they close what others forgot, before we count
            Assert.True(GC.TryStartNoGCRegion(MostAllocated), "the collector cannot be held off");
        }

        (_descriptors, _mappings, _threads) = (Descriptors, Mappings, Threads);
    }

    /// <summary>Not counting the assemblies, which the runtime loads when it likes and keeps open.</summary>
    private static IEnumerable<string> OpenFiles => new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
        .Select(descriptor => descriptor.LinkTarget)
        .OfType<string>() // one may have been closed meanwhile
        .Where(target => !target.EndsWith(".dll", StringComparison.Ordinal));

    private static int Descriptors => OpenFiles.Count();

    private static int Mappings => File.ReadLines("/proc/self/maps").Count(line => line.Contains("/memfd:" + GuestRam.FileName, StringComparison.Ordinal) || line.Contains("/memfd:virtio-driver", StringComparison.Ordinal));

    private static int Threads => Directory.EnumerateDirectories("/proc/self/task").Count();

    /// <summary>Waits until everything is back, as what lies in a closed socket's queue goes a little later.</summary>
    public void AssertNothingIsLeft()
    {
        Assert.True(!_holdsOff || GCSettings.LatencyMode == GCLatencyMode.NoGCRegion, "the test allocated so much that the collector ran");
        Assert.True(Patience.Until(() => Descriptors == _descriptors), $"{Descriptors} descriptors are open, {_descriptors} were before: {string.Join(", ", OpenFiles)}");
        Assert.True(Patience.Until(() => Threads <= _threads), $"{Threads} threads run, {_threads} did before"); // the runtime's own may end
        Assert.Equal(_mappings, Mappings);
    }

    public void Dispose()
    {
        if (_holdsOff && GCSettings.LatencyMode == GCLatencyMode.NoGCRegion)
            GC.EndNoGCRegion();
    }
}

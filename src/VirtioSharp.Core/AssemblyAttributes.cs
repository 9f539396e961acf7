using System.Runtime.CompilerServices;

// Span<T> buffers on the stack are filled before they are read; zeroing them first is lost time.
[module: SkipLocalsInit]

// The rings are internal, and are tested, fuzzed and measured as they are.
[assembly: InternalsVisibleTo("VirtioSharp.Core.Tests")]
[assembly: InternalsVisibleTo("VirtioSharp.Bench")]
[assembly: InternalsVisibleTo("VirtioSharp.Fuzz")]

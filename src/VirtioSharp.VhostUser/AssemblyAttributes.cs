using System.Runtime.CompilerServices;

// Span<T> buffers on the stack are filled before they are read; zeroing them first is lost time.
[module: SkipLocalsInit]

// The payloads are internal, and their sizes are asserted.
[assembly: InternalsVisibleTo("VirtioSharp.VhostUser.Tests")]

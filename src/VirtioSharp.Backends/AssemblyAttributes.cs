using System.Runtime.CompilerServices;

// Span<T> buffers on the stack are filled before they are read; zeroing them first is lost time.
[module: SkipLocalsInit]

// Imports take blittable values and SafeHandles only, so that a call costs no more than its system call.
[assembly: System.Runtime.CompilerServices.DisableRuntimeMarshalling]

// Span<T> buffers on the stack are filled before they are read; zeroing them first is lost time.
[module: System.Runtime.CompilerServices.SkipLocalsInit]

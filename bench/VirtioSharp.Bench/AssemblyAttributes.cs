// Imports take blittable values only, so that a call costs next to nothing.
[assembly: System.Runtime.CompilerServices.DisableRuntimeMarshalling]

using VirtioSharp.Spec;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A descriptor of either format, as far as they are alike. NEXT is added where another follows.</summary>
internal readonly record struct Entry(ulong Address, uint Length, DescriptorFlags Flags = DescriptorFlags.None);

namespace VirtioSharp.Core.Errors;

/// <summary>The device cannot go on until it is reset: every queue stops and it says NEEDS_RESET (§2.1.2).</summary>
/// <param name="message">What was wrong: the field and its value.</param>
/// <param name="inner">What led to it.</param>
public sealed class DeviceException(string message, Exception? inner = null) : Exception(message, inner);

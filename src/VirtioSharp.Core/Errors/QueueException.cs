namespace VirtioSharp.Core.Errors;

/// <summary>A queue cannot be set up, or its ring is broken: the queue stops and the device says NEEDS_RESET (§2.1.2).</summary>
/// <param name="message">What was wrong: the field and its value.</param>
public sealed class QueueException(string message) : Exception(message);

namespace VirtioSharp.Core.Errors;

/// <summary>One request is wrong: it is completed with length 0 and counted; the device goes on.</summary>
/// <param name="message">What was wrong: the field and its value.</param>
public sealed class ChainException(string message) : Exception(message);

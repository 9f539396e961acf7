namespace VirtioSharp.Core.Errors;

/// <summary>The way between driver and device failed or broke its rules: the connection ends, the next one may work.</summary>
/// <param name="message">What was wrong: the field and its value.</param>
/// <param name="inner">What led to it.</param>
public class TransportException(string message, Exception? inner = null) : Exception(message, inner);

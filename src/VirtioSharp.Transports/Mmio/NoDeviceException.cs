using VirtioSharp.Core.Errors;

namespace VirtioSharp.Transports.Mmio;

/// <summary>The window is a placeholder: its device id is 0. That is no fault; who looks through a machine's windows goes on with the next (§4.2.2.2).</summary>
public sealed class NoDeviceException() : TransportException("device id = 0: the window is a placeholder without a device");

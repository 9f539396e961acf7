namespace VirtioSharp.Transports.Pci.Software;

/// <summary>What a function in software sends towards its host. May be called from any thread that interrupts; must not block or throw.</summary>
public interface IPciUpstream
{
    /// <summary>An MSI-X message.</summary>
    /// <param name="vector">Whose: for hosts that deliver vectors and not messages.</param>
    /// <param name="message">What the driver has programmed for it.</param>
    void Send(int vector, PciMessage message);

    /// <summary>The INTx line may have changed: look at <see cref="SoftwarePciFunction.IsLineRaised"/>.</summary>
    void LineChanged();

    /// <summary>How long until the function has to work may have changed: look at <see cref="SoftwarePciFunction.UntilWork"/>. From the thread that works.</summary>
    void WorkChanged();

    /// <summary>Where the function's BARs are decoded may have changed. Only from the thread that accesses registers.</summary>
    void DecodingChanged();
}

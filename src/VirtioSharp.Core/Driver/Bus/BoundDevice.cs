namespace VirtioSharp.Core.Driver.Bus;

/// <summary>One device in its driver's hands, from probe to removal. The bus calls it on the bus's thread.</summary>
public abstract class BoundDevice
{
    /// <summary>
    /// The machine is about to sleep: finish what is in flight, and note what is to be as it was. May call
    /// <see cref="DriverSession.Freeze"/> and look once more at what has come; otherwise the bus resets the device then.
    /// </summary>
    protected internal virtual void OnFreeze()
    {
    }

    /// <summary>
    /// The device is set up again, with the same features and with empty queues: add what is to be in them. May call
    /// <see cref="DriverSession.Start"/>, before which the device must not be notified; otherwise the bus does.
    /// </summary>
    /// <remarks>Also without a freeze before it, when the device was broken: then nothing that was in flight has come back.</remarks>
    protected internal virtual void OnRestore()
    {
    }

    /// <summary>The driver loses the device. The bus resets it afterwards, if it is still there.</summary>
    /// <param name="isGone">It was unplugged without a word: nothing that is in flight will come back.</param>
    protected internal virtual void OnRemove(bool isGone)
    {
    }
}

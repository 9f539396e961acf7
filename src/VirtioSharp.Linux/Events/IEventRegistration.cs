namespace VirtioSharp.Linux;

/// <summary>A handler's place in a loop; disposing it takes the descriptor out of the loop.</summary>
/// <remarks>
/// It keeps the descriptor open until then, even if its owner disposes that first: epoll could not forget it otherwise.
/// Once disposed the handler is not called any more, not even for an event that the kernel had reported before.
/// </remarks>
public interface IEventRegistration : IDisposable
{
    /// <summary>Waits for something else; <see cref="EpollEvents.None"/> pauses.</summary>
    /// <param name="interest">What to wait for from now on.</param>
    void Update(EpollEvents interest);
}

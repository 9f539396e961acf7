using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Everything a back-end says. One line each; nothing is said per request.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "front-end connected (process {Process})")]
    public static partial void Connected(this ILogger log, int process);

    [LoggerMessage(2, LogLevel.Information, "front-end left; it sent {Messages} messages, {Chains} requests were served")]
    public static partial void Left(this ILogger log, int messages, ulong chains);

    [LoggerMessage(3, LogLevel.Error, "connection closed: {Reason}")]
    public static partial void Broken(this ILogger log, string reason);

    [LoggerMessage(4, LogLevel.Debug, "{Request}, {Size} bytes, {Fds} fds")]
    public static partial void Message(this ILogger log, string request, int size, int fds);

    [LoggerMessage(5, LogLevel.Information, "driver ready, features {Features}")]
    public static partial void DriverReady(this ILogger log, string features);

    [LoggerMessage(6, LogLevel.Error, "ring {Ring} cannot run: {Reason}")]
    public static partial void RingRefused(this ILogger log, int ring, string reason);

    [LoggerMessage(7, LogLevel.Error, "the ring was started but no memory was shared; give QEMU shared RAM: -object memory-backend-memfd,id=mem0,size=512M,share=on -machine memory-backend=mem0")]
    public static partial void NoMemory(this ILogger log);

    [LoggerMessage(8, LogLevel.Warning, "guest memory is not sealed against shrinking: should the front-end cut the file short, the connection ends (elsewhere than on x86-64, this process); memory-backend-memfd can be sealed")]
    public static partial void MemoryNotSealed(this ILogger log);

    [LoggerMessage(13, LogLevel.Warning, "the ring is kicked but was never written to: the guest's RAM is probably private and nothing will arrive; give QEMU share=on: -object memory-backend-memfd,id=mem0,size=512M,share=on -machine memory-backend=mem0")]
    public static partial void MemoryNotShared(this ILogger log);

    [LoggerMessage(15, LogLevel.Information, "device state {Done}: {Bytes} bytes")]
    public static partial void StateMoved(this ILogger log, string done, int bytes);

    [LoggerMessage(16, LogLevel.Error, "device state: {Reason}")]
    public static partial void StateFailed(this ILogger log, string reason);

    [LoggerMessage(14, LogLevel.Information, "stopped; the front-end was still connected")]
    public static partial void Stopped(this ILogger log);

    [LoggerMessage(9, LogLevel.Warning, "queue {Queue}: {Fault}; such requests are answered with length 0 (said once, counted in the report)")]
    public static partial void Faulty(this ILogger log, int queue, string fault);

    [LoggerMessage(10, LogLevel.Error, "the device needs a reset: queue {Queue}: {Reason}")]
    public static partial void NeedsReset(this ILogger log, int queue, string reason);

    [LoggerMessage(11, LogLevel.Information, "listening on {Path}")]
    public static partial void Listening(this ILogger log, string path);

    [LoggerMessage(12, LogLevel.Error, "a front-end could not be let in, trying again in a second: {Reason}")]
    public static partial void AcceptFailed(this ILogger log, string reason);

    [LoggerMessage(31, LogLevel.Warning, "ring {Ring} waits: I/O address 0x{Address:x} has no translation for {Access}, and {Reason}")]
    public static partial void Untranslated(this ILogger log, int ring, ulong address, MemoryAccess access, string reason);

    [LoggerMessage(32, LogLevel.Error, "a translation was refused: {Reason}")]
    public static partial void TranslationRefused(this ILogger log, string reason);

    [LoggerMessage(33, LogLevel.Error, "the front-end's socket for our requests is of no use any more: {Reason}")]
    public static partial void ChannelBroken(this ILogger log, string reason);
}

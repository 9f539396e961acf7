using VirtioSharp.Core.Device;
using VirtioSharp.Linux;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Looks into the rings for a while before the loop sleeps (<see cref="VhostUserOptions.BusyPoll"/>).</summary>
/// <remarks>
/// While it looks, drivers are not asked to kick, which spares a guest the trap and us the wake-up. Only on the way to
/// sleep they are asked again, and the rings are looked at once more.
/// </remarks>
internal sealed class RingPoller(DeviceHost host) : IIdlePoller
{
    public bool Poll()
    {
        bool found = false;
        for (int queue = 0; queue < host.Traits.Queues.Count; queue++)
        {
            if (!host.HasAvailable(queue))
                continue;
            found = true;
            host.Service(queue); // what it leaves, the next look finds
        }

        return found;
    }

    public bool BeforeSleep()
    {
        bool found = false;
        for (int queue = 0; queue < host.Traits.Queues.Count; queue++)
            found |= host.Arm(queue);
        return found;
    }
}

using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Obeys the messages about rings: how each is put together, and where all note what is in flight.</summary>
internal sealed class RingMessages(IncomingMessage message, RingSet rings)
{
    /// <summary>The ring of a message that starts with its index.</summary>
    private Vring Ring => Find(message.Read<uint>());

    /// <summary>The ring of a message that gives it a descriptor.</summary>
    private Vring RingOfFd => Find(message.Read<VringFd>().Index);

    /// <returns>Whether it could be granted; null when the message is none of these.</returns>
    public bool? Obey()
    {
        switch (message.Request)
        {
            case FrontEndRequest.SetVringNum:
                Ring.SetSize(message.Read<VringState>().Num);
                return true;
            case FrontEndRequest.SetVringBase:
                rings.SetBase(Ring, message.Read<VringState>().Num);
                return true;
            case FrontEndRequest.SetVringAddr:
                VringAddress address = message.Read<VringAddress>();
                return rings.Change(Ring, ring => ring.SetAddress(address));
            case FrontEndRequest.SetVringEnable:
                return rings.Enable(Ring, message.Read<VringState>().Num != 0);
            case FrontEndRequest.SetVringKick:
                return SetKick(RingOfFd);
            case FrontEndRequest.VringKick:
                return Kick(Ring);
            case FrontEndRequest.SetVringCall:
                RingOfFd.SetCall(message.TakeEventFd());
                return true;
            case FrontEndRequest.SetVringErr:
                RingOfFd.SetError(message.TakeEventFd());
                return true;
            case FrontEndRequest.GetVringBase:
                Vring stopped = Ring;
                message.Reply(new VringState((uint)stopped.Index, rings.Stop(stopped).ToVringBase(rings.IsPacked)));
                return true;
            case FrontEndRequest.GetInflightFd:
                GetInflight();
                return true;
            case FrontEndRequest.SetInflightFd:
                return rings.Track(InflightBuffer.Map(message.Read<InflightDescription>(), message.TakeFd(), rings.Count, rings.IsPacked));
            default:
                return null;
        }
    }

    private bool SetKick(Vring ring)
    {
        EventFd? kick = message.TakeEventFd();
        return kick is not null || rings.InBand is not null
            ? rings.Start(ring, kick)
            : throw new TransportException("SET_VRING_KICK without a descriptor asks for polling, which is not implemented here");
    }

    /// <summary>In-band, where the first kick starts a ring.</summary>
    private bool Kick(Vring ring)
    {
        uint reserved = message.Read<VringState>().Num;
        if (reserved != 0)
            throw new TransportException($"VRING_KICK: num = {reserved} is reserved, 0 is due");
        if (!ring.IsStarted && !rings.Start(ring, null))
            return false;
        ring.Kicked(1);
        return true;
    }

    private void GetInflight()
    {
        (InflightDescription description, FileDescriptor file) = InflightBuffer.Create(message.Read<InflightDescription>(), rings.Count, rings.IsPacked);
        using (file)
            message.Reply(description, file);
    }

    private Vring Find(uint index) => index < (uint)rings.Count
        ? rings[(int)index]
        : throw new TransportException($"{message.Rule.Name}: ring {index} does not exist, the device has {rings.Count}");
}

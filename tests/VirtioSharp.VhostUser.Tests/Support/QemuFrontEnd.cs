using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>Sends what QEMU's vhost-user-rng-pci sends, message by message, as two versions of it were seen to do.</summary>
/// <remarks><c>Do</c> and <c>Acknowledged</c> carry NEED_REPLY, <c>Ask</c> has a reply of its own, <c>Send</c> neither.</remarks>
internal abstract class QemuFrontEnd(FrontEnd frontEnd) : IDisposable
{
    private readonly UnixSocket[] _backEndRequests = PairOfTwo();

    protected FrontEnd FrontEnd { get; } = frontEnd;

    protected ProtocolFeatures Protocol { get; private set; }

    /// <summary>The protocol features that it accepts.</summary>
    protected abstract ProtocolFeatures Known { get; }

    public static QemuFrontEnd Of(string version, FrontEnd frontEnd) => version == "7.2" ? new Qemu72(frontEnd) : new Qemu111(frontEnd);

    /// <summary>From the connection to the moment when a guest may start.</summary>
    public void Begin(params GuestRing[] rings)
    {
        FrontEnd.AskU64(FrontEndRequest.GetFeatures);
        Protocol = (ProtocolFeatures)FrontEnd.AskU64(FrontEndRequest.GetProtocolFeatures) & Known; // it accepts whatever is offered of what it has heard of
        FrontEnd.Send(FrontEndRequest.SetProtocolFeatures, Wire.U64((ulong)Protocol));
        if (Has(ProtocolFeatures.Mq))
            Assert.Equal((ulong)rings.Length, FrontEnd.AskU64(FrontEndRequest.GetQueueNum));
        if (Has(ProtocolFeatures.ConfigureMemSlots))
            Assert.Equal(509UL, FrontEnd.AskU64(FrontEndRequest.GetMaxMemSlots));
        if (Has(ProtocolFeatures.BackEndReq))
            FrontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], _backEndRequests[0].Descriptor);
        FrontEnd.Send(FrontEndRequest.SetOwner);
        FrontEnd.AskU64(FrontEndRequest.GetFeatures);
        foreach (GuestRing ring in rings)
        {
            FrontEnd.SendCall(ring);
            FrontEnd.Send(FrontEndRequest.SetVringErr, Wire.U64(ring.Index), ring.Error.Descriptor);
        }
    }

    /// <summary>The driver takes the device into use.</summary>
    public abstract void Start(GuestRing ring, ulong features, uint at, params GuestRam[] rams);

    /// <summary>The driver resets the device, or the machine stops.</summary>
    /// <returns>Where to go on.</returns>
    public abstract uint Stop(GuestRing ring);

    public void Dispose()
    {
        foreach (UnixSocket socket in _backEndRequests)
            socket.Dispose();
    }

    protected bool Has(ProtocolFeatures feature) => (Protocol & feature) != 0;

    protected void ShareMemory(GuestRam[] rams)
    {
        Wire.Region[] regions = [.. rams.Select(ram => Has(ProtocolFeatures.GpaAddresses) ? ram.Region with { UserAddress = ram.Start } : ram.Region)];
        if (Has(ProtocolFeatures.ConfigureMemSlots))
            foreach ((Wire.Region region, GuestRam ram) in regions.Zip(rams))
                FrontEnd.Do(FrontEndRequest.AddMemReg, Wire.OneRegion(region), ram.File);
        else if (rams.Length > 0)
            FrontEnd.Do(FrontEndRequest.SetMemTable, Wire.Table((uint)rams.Length, regions), [.. rams.Select(ram => ram.File)]);
    }

    protected void SetStatus()
    {
        if (!Has(ProtocolFeatures.Status))
            return;
        ulong status = FrontEnd.AskU64(FrontEndRequest.GetStatus);
        FrontEnd.Send(FrontEndRequest.SetStatus, Wire.U64(status | 8));
    }

    protected void Describe(GuestRing ring, uint at)
    {
        FrontEnd.Send(FrontEndRequest.SetVringNum, Wire.State(ring.Index, (uint)ring.Size));
        FrontEnd.Send(FrontEndRequest.SetVringBase, Wire.State(ring.Index, at));
        FrontEnd.Send(FrontEndRequest.SetVringAddr, Has(ProtocolFeatures.GpaAddresses) ? ring.GuestAddressPayload : ring.AddressPayload);
    }

    private static UnixSocket[] PairOfTwo()
    {
        (UnixSocket first, UnixSocket second) = UnixSocket.Pair();
        return [first, second];
    }

    private sealed class Qemu72(FrontEnd frontEnd) : QemuFrontEnd(frontEnd)
    {
        protected override ProtocolFeatures Known => (ProtocolFeatures)((1 << 17) - 1);

        public override void Start(GuestRing ring, ulong features, uint at, params GuestRam[] rams)
        {
            FrontEnd.SendCall(ring);
            FrontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(features));
            SetStatus();
            ShareMemory(rams);
            Describe(ring, at);
            ring.Kick.Signal(); // one is pending before the descriptor is sent
            FrontEnd.Send(FrontEndRequest.SetVringKick, Wire.U64(ring.Index), ring.Kick.Descriptor);
            FrontEnd.Send(FrontEndRequest.SetVringEnable, Wire.State(ring.Index, 1));
            FrontEnd.SendCall(ring);
        }

        public override uint Stop(GuestRing ring)
        {
            FrontEnd.Send(FrontEndRequest.SetVringEnable, Wire.State(ring.Index, 0));
            uint at = FrontEnd.StopRing(ring);
            FrontEnd.SendCall(ring);
            return at;
        }
    }

    private sealed class Qemu111(FrontEnd frontEnd) : QemuFrontEnd(frontEnd)
    {
        /// <summary>Its rng does not migrate what is in flight.</summary>
        protected override ProtocolFeatures Known => (ProtocolFeatures)((1 << 23) - 1) & ~ProtocolFeatures.GetVringBaseInflight;

        public override void Start(GuestRing ring, ulong features, uint at, params GuestRam[] rams)
        {
            FrontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(features));
            SetStatus();
            ShareMemory(rams);
            Describe(ring, at);
            ring.Kick.Signal();
            Confirmed(FrontEndRequest.SetVringKick, Wire.U64(ring.Index), ring.Kick.Descriptor);
            Confirmed(FrontEndRequest.SetVringCall, Wire.U64(ring.Index), ring.Call.Descriptor);
            Confirmed(FrontEndRequest.SetVringEnable, Wire.State(ring.Index, 1));
            Confirmed(FrontEndRequest.SetVringCall, Wire.U64(ring.Index), ring.Call.Descriptor);
        }

        public override uint Stop(GuestRing ring)
        {
            Confirmed(FrontEndRequest.SetVringEnable, Wire.State(ring.Index, 0));
            return FrontEnd.StopRing(ring);
        }

        /// <summary>Without REPLY_ACK it asks for the features after ENABLE, as a barrier.</summary>
        private void Confirmed(FrontEndRequest request, byte[] payload, params FileDescriptor[] fds)
        {
            if (Has(ProtocolFeatures.ReplyAck))
            {
                FrontEnd.Do(request, payload, fds);
                return;
            }

            FrontEnd.Send(request, payload, fds);
            if (request == FrontEndRequest.SetVringEnable)
                FrontEnd.Barrier();
        }
    }
}

using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

[Proves("Hostile front-end", "vhost-user")]
public sealed class ConfigurationMessageTests
{
    [Theory]
    [InlineData(FrontEndRequest.GetConfig, 0xFFFFFFFF, 4)]
    [InlineData(FrontEndRequest.GetConfig, 5, 4)]
    [InlineData(FrontEndRequest.SetConfig, 3, 4)]
    [InlineData(FrontEndRequest.SetConfig, 0x80000004, 4)]
    public void A_size_that_is_not_the_message_s_is_refused(FrontEndRequest request, uint claimed, int carried)
    {
        using var served = new ServedDevice(new ConfigurableDevice());
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config);

        frontEnd.Send(request, Wire.Config(0, claimed, new byte[carried]));

        frontEnd.AssertClosed();
        Assert.Equal($"configuration size = {claimed}, but the message carries {carried} bytes", served.NextReport().Ended);
    }
}

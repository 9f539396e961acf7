using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

public sealed class EveryDayTests
{
    [Fact]
    [Proves("Entropy device", "vhost-user")]
    public void A_request_is_served()
    {
        using var served = new ServedDevice();
        served.AssertServesNext();
    }
}

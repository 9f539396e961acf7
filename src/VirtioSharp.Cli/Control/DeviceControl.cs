using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using VirtioSharp.Cli.Output;
using VirtioSharp.Cli.Serve;
using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Cli.Control;

/// <summary>What a served device answers on its control socket.</summary>
internal sealed class DeviceControl(IServedDevice served, VirtioDevice device, VhostUserServer server, ILogger log)
{
    /// <summary>Does a command. On the server's loop.</summary>
    /// <returns>The answer's line.</returns>
    public string Obey(ControlRequest request)
    {
        try
        {
            if (request.Command == ControlProtocol.Status)
                return ControlProtocol.Done(Status());
            ulong length = served.Resize(device, request.Bytes, request.MayShrink);
            log.Resized(length);
            return ControlProtocol.Done(new JsonObject { ["bytes"] = length });
        }
        catch (Exception refused) when (refused is UserException or ArgumentException or NotSupportedException or IOException)
        {
            return ControlProtocol.Refused(refused.Message);
        }
    }

    private JsonObject Status()
    {
        ServerStatus now = server.Status;
        var status = new JsonObject
        {
            ["device"] = served.Name,
            ["connected"] = now.FrontEnd is not null,
            ["frontEndProcess"] = now.FrontEnd,
            ["status"] = new JsonArray([.. now.Status.ToString().Split(", ").Select(name => JsonValue.Create(name))]),
            ["offeredFeatures"] = Bits(now.OfferedFeatures),
            ["negotiatedFeatures"] = Bits(now.DriverFeatures),
            ["packed"] = now.DriverFeatures.Has(Features.RingPacked),
            ["queues"] = new JsonArray([.. now.Queues.Select(Of)]),
        };
        served.Describe(device, status);
        return status;
    }

    private static JsonArray Bits(FeatureSet features) => new([.. features.Select(bit => JsonValue.Create(bit))]);

    private static JsonObject Of(QueueStatus queue) => new()
    {
        ["name"] = queue.Name,
        ["running"] = queue.Position is not null,
        ["nextAvailable"] = queue.Position?.NextAvailable,
        ["nextUsed"] = queue.Position?.NextUsed,
        ["inFlight"] = queue.InFlight,
        ["kicks"] = queue.Counts.Notifications,
        ["chains"] = queue.Counts.Chains,
        ["faultyChains"] = queue.Counts.FaultyChains,
        ["bytesWritten"] = queue.Counts.BytesWritten,
        ["interrupts"] = queue.Counts.Interrupts,
        ["suppressedInterrupts"] = queue.Counts.SuppressedInterrupts,
        ["postponed"] = queue.Counts.Postponed,
    };
}

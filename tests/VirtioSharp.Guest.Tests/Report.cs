using System.Text.Json;

namespace VirtioSharp.Guest.Tests;

/// <summary>What the daemon wrote about a session, with <c>--report</c>.</summary>
internal sealed class Report(JsonElement root)
{
    public int RingStarts => root.GetProperty("ringStarts").GetInt32();

    public int MemoryRegions => root.GetProperty("memoryRegions").GetInt32();

    public IEnumerable<int> Features => root.GetProperty("driverFeatures").EnumerateArray().Select(bit => bit.GetInt32());

    public long BytesWritten => root.GetProperty("queues")[0].GetProperty("counts").GetProperty("bytesWritten").GetInt64();

    public int IotlbMisses => root.GetProperty("iotlbMisses").GetInt32();

    public IEnumerable<string> Faults => root.GetProperty("faults").EnumerateObject().Select(fault => fault.Name);

    public string? Ended => root.GetProperty("ended").GetString();

    public static Report Read(string path)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(path));
        return new Report(json.RootElement.Clone());
    }

    public int Messages(string name) =>
        root.GetProperty("messages").TryGetProperty(name, out JsonElement count) ? count.GetInt32() : 0;
}

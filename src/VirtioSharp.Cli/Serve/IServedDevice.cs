using System.CommandLine;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Device;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Serve;

/// <summary>A device that <c>vio serve</c> has ready: its name, its options, and how to make one.</summary>
internal interface IServedDevice
{
    /// <summary><c>vio serve NAME</c>, the program name <c>vio-NAME</c>, and QEMU's <c>vhost-user-NAME-pci</c>.</summary>
    string Name { get; }

    /// <summary>The vhost-user convention's type, where it is another word.</summary>
    string Type => Name;

    /// <summary>What the convention lets a program of this type say that it can do; null where it has no words for it.</summary>
    IReadOnlyList<string>? Features => null;

    /// <summary>Options that an example cannot do without.</summary>
    string ExampleOptions => "";

    /// <summary>One line for <c>--help</c>.</summary>
    string Description { get; }

    /// <summary>Its own options, beside those of every device.</summary>
    IEnumerable<Option> Options { get; }

    /// <summary>Makes the device.</summary>
    /// <param name="arguments">Its options' values.</param>
    /// <param name="log">For what goes wrong while it is served.</param>
    /// <exception cref="UserException">An option's value cannot be used.</exception>
    VirtioDevice Create(ParseResult arguments, ILogger log);

    /// <summary>The device has a loop to live in: what stands behind it may join.</summary>
    void OnConnected(EventLoop loop)
    {
    }

    /// <summary>Nobody is served any more: what stands behind the device may take its leave.</summary>
    void OnEnded()
    {
    }

    /// <summary>What SIGHUP does to a device made here, on its own thread; null leaves the signal as it is.</summary>
    Action<VirtioDevice>? OnHangUp => null;

    /// <summary>Gives a device made here another size, or looks how large it is now.</summary>
    /// <returns>Its size, in bytes.</returns>
    /// <exception cref="NotSupportedException">It cannot have another.</exception>
    /// <exception cref="UserException">It would be smaller, and that was not asked for.</exception>
    ulong Resize(VirtioDevice device, ulong? bytes, bool mayShrink) => throw new NotSupportedException($"a device '{Name}' has no size");

    /// <summary>Adds what it has to say to its status.</summary>
    void Describe(VirtioDevice device, JsonObject status)
    {
    }
}

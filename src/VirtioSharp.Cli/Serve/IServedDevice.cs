using System.CommandLine;
using VirtioSharp.Core.Device;

namespace VirtioSharp.Cli.Serve;

/// <summary>A device that <c>vio serve</c> has ready: its name, its options, and how to make one.</summary>
internal interface IServedDevice
{
    /// <summary>The vhost-user convention's type: <c>vio serve NAME</c>, and the program name <c>vio-NAME</c>.</summary>
    string Name { get; }

    /// <summary>One line for <c>--help</c>.</summary>
    string Description { get; }

    /// <summary>Its own options, beside those of every device.</summary>
    IEnumerable<Option> Options { get; }

    /// <summary>Makes the device.</summary>
    /// <exception cref="UserException">An option's value cannot be used.</exception>
    VirtioDevice Create(ParseResult arguments);
}

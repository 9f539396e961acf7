using System.Text.Json;

namespace VirtioSharp.Qemu;

/// <summary>Something that happened in QEMU: RESET, SHUTDOWN, DEVICE_DELETED …</summary>
/// <param name="Name">QEMU's name of it.</param>
/// <param name="Data">Its details; undefined if it has none.</param>
public sealed record QmpEvent(string Name, JsonElement Data);

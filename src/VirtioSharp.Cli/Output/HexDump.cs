using Spectre.Console;

namespace VirtioSharp.Cli.Output;

/// <summary>Bytes as people look at them: 16 in a line, with their offset.</summary>
internal static class HexDump
{
    public static void Write(ReadOnlySpan<byte> bytes)
    {
        for (int offset = 0; offset < bytes.Length; offset += 16)
        {
            ReadOnlySpan<byte> line = bytes.Slice(offset, Math.Min(16, bytes.Length - offset));
            AnsiConsole.WriteLine($"  {offset:x4}  {string.Join(' ', Convert.ToHexStringLower(line).Chunk(2).Select(pair => new string(pair)))}");
        }
    }
}

using System.Buffers.Text;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>What lines from QEMU mean.</summary>
/// <remarks>
/// <code>
/// line  = "OK" [ " " value ] | ( "FAIL" | "ERR" ) " " reason | "IRQ" ( " raise " | " lower " ) number
/// value = "0x" hexadecimal digits | a word
/// </code>
/// An IRQ line answers nothing: it may come before any answer, and while nothing was asked.
/// </remarks>
internal static class QtestReply
{
    public static bool IsRefusal(ReadOnlySpan<byte> line) => line.StartsWith("FAIL"u8) || line.StartsWith("ERR"u8);

    public static bool TryOk(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> value)
    {
        bool bare = line.SequenceEqual("OK"u8);
        value = bare ? default : line.StartsWith("OK "u8) ? line[3..] : default;
        return bare || line.StartsWith("OK "u8);
    }

    public static bool TryNumber(ReadOnlySpan<byte> value, out ulong number)
    {
        number = 0;
        return value.StartsWith("0x"u8)
            && Utf8Parser.TryParse(value[2..], out number, out int digits, 'x')
            && digits == value.Length - 2;
    }

    public static bool TryInterrupt(ReadOnlySpan<byte> line, out int number, out bool raised)
    {
        (number, raised) = (-1, line.StartsWith("IRQ raise "u8));
        return (raised || line.StartsWith("IRQ lower "u8))
            && Utf8Parser.TryParse(line[10..], out number, out int digits)
            && digits == line.Length - 10
            && number >= 0;
    }
}

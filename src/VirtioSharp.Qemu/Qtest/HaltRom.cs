namespace VirtioSharp.Qemu.Qtest;

/// <summary>Firmware that stops the processor for good. QEMU 7.2 as Debian builds it has no accelerator without a processor.</summary>
internal sealed class HaltRom
{
    private const int Bytes = 64 * 1024;
    private const int X86ResetVector = 0xFFF0; // from the start of the last 64 KiB below 4 GiB

    private readonly byte[] _content = new byte[Bytes];

    private HaltRom(int at, ReadOnlySpan<byte> program) => program.CopyTo(_content.AsSpan(at));

    public static HaltRom X86 { get; } = new(X86ResetVector, [0xFA, 0xF4, 0xEB, 0xFC]); // cli; hlt; jmp back to cli

    public static HaltRom Arm { get; } = new(0, [0x03, 0xF0, 0x20, 0xE3, 0xFD, 0xFF, 0xFF, 0xEA]); // wfi; b back

    public void WriteTo(string path) => File.WriteAllBytes(path, _content);
}

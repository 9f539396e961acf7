using System.Diagnostics;

namespace VirtioSharp.Qemu.Tests;

public class TetheredProcessTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_program_dies_and_its_files_go_when_the_other_end_of_its_tether_is_gone()
    {
        using TemporaryDirectory files = new();
        File.WriteAllText(files["left over"], "");
        using Process sleeper = TetheredProcess.Start("/bin/sleep", ["1000"], files.Path);

        // This is all that is left of us for the program after a kill -9: the kernel closes our end.
        sleeper.StandardInput.Close();

        await sleeper.WaitForExitAsync(Cancel).WaitAsync(Guests.Patience, Cancel);
        Assert.Equal(137, sleeper.ExitCode);
        while (Directory.Exists(files.Path))
            await Task.Delay(10, Cancel);
    }

    [Fact]
    public async Task The_exit_code_and_the_output_are_those_of_the_program()
    {
        using TemporaryDirectory files = new();
        using Process program = TetheredProcess.Start("/bin/sh", ["-c", "echo $0 $$; exit 7", "a b"], files.Path);

        string output = await program.StandardOutput.ReadToEndAsync(Cancel);
        await program.WaitForExitAsync(Cancel);
        TetheredProcess.Release(program);

        Assert.Equal($"a b {program.Id}\n", output);
        Assert.Equal(7, program.ExitCode);
        Assert.True(Directory.Exists(files.Path));
    }
}

using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using VirtioSharp.Bench;
using VirtioSharp.Bench.Rings;

// bench/chains, bench/qtest, bench/rings and bench/rng say what each is for.
switch (args)
{
    case ["chains"]:
        BenchmarkRunner.Run<ChainBenchmarks>(DefaultConfig.Instance.AddJob(
            Job.ShortRun.WithIterationCount(10).WithToolchain(InProcessEmitToolchain.Instance)));
        return 0;
    case ["rng", var vio, var rounds, .. var serveOptions]:
        return await GuestRng.RunAsync(vio, int.Parse(rounds, System.Globalization.CultureInfo.InvariantCulture), serveOptions);
    case ["qtest"]:
        return await QtestRng.RunAsync();
    case ["rings", .. var ringOptions]:
        return RingBench.Run(ringOptions);
    default:
        Console.Error.WriteLine("usage: VirtioSharp.Bench chains | qtest | rings [--quick] [ROWS] | rng VIO ROUNDS [SERVE-OPTION…]; see bench/chains, bench/qtest, bench/rings and bench/rng");
        return 2;
}

using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using VirtioSharp.Bench;
using VirtioSharp.Bench.Blk;
using VirtioSharp.Bench.Rings;

// bench/blk, bench/chains, bench/qtest, bench/registers, bench/rings and bench/rng say what each is for.
switch (args)
{
    case ["chains"]:
        BenchmarkRunner.Run<ChainBenchmarks>(InProcess());
        return 0;
    case ["registers"]:
        BenchmarkRunner.Run<RegisterBenchmarks>(InProcess());
        return 0;
    case ["blk", var vio, .. var blkOptions]:
        return BlkBench.Run(vio, blkOptions);
    case ["rng", var vio, var rounds, .. var serveOptions]:
        return await GuestRng.RunAsync(vio, int.Parse(rounds, System.Globalization.CultureInfo.InvariantCulture), serveOptions);
    case ["qtest"]:
        return await QtestRng.RunAsync();
    case ["rings", .. var ringOptions]:
        return RingBench.Run(ringOptions);
    default:
        Console.Error.WriteLine("usage: VirtioSharp.Bench blk VIO [OPTION…] | chains | qtest | registers | rings [--quick] [ROWS] | rng VIO ROUNDS [SERVE-OPTION…]; see the scripts in bench/");
        return 2;
}

static IConfig InProcess() =>
    DefaultConfig.Instance.AddJob(Job.ShortRun.WithIterationCount(10).WithToolchain(InProcessEmitToolchain.Instance));

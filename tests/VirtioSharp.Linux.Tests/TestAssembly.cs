// Descriptors are numbered per process: tests that look at numbers run one after another.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

using System.Reflection;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>The public API changes only where a review sees it: in PublicApi/, beside the code that changed it.</summary>
public sealed class PublicApiTests
{
    private const string Snapshots = "tests/VirtioSharp.Repository.Tests/PublicApi";

    private static readonly bool Accept = Environment.GetEnvironmentVariable("VIRTIOSHARP_ACCEPT_API") == "1";

    public static TheoryData<string> Libraries => [.. Repository.Libraries.Select(library => library.GetName().Name!)];

    [Theory]
    [MemberData(nameof(Libraries))]
    public void The_public_API_is_the_one_that_was_accepted(string library)
    {
        string accepted = Repository.In($"{Snapshots}/{library}.txt");
        string actual = PublicApi.Print(Assembly.Load(library));
        if (Accept)
        {
            Write(accepted, actual);
        }

        if (!File.Exists(accepted) || File.ReadAllText(accepted) != actual)
        {
            string copy = $"artifacts/public-api/{library}.txt";
            Write(Repository.In(copy), actual);
            Assert.Fail($"The public API of {library} changed (now {copy}); to accept it: ./test --accept-api");
        }
    }

    [Fact]
    public void There_is_no_snapshot_of_a_library_that_is_gone()
    {
        var libraries = Repository.Libraries.Select(library => library.GetName().Name);

        Assert.Empty(Repository.Files("*.txt", Snapshots).Select(Repository.NameOf).Except(libraries));
    }

    private static void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }
}

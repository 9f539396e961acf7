using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace VirtioSharp.Repository.Tests;

/// <summary>
/// What an assembly promises to others, as text: one line per public or protected member, sorted, so that a change of
/// the API is a line in a review. What the compiler adds to a record is said by the word "record"; attributes are left out.
/// </summary>
internal static class PublicApi
{
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly MemberTypes[] Kinds =
        [MemberTypes.Field, MemberTypes.Constructor, MemberTypes.Property, MemberTypes.Event, MemberTypes.Method];

    public static string Print(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (var space in assembly.GetTypes().Where(IsVisible).GroupBy(type => type.Namespace).OrderBy(space => space.Key, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"namespace {space.Key}\n");
            foreach (Type type in space.OrderBy(TypeText.NameOf, StringComparer.Ordinal).ThenBy(type => type.GetGenericArguments().Length))
            {
                text.Append(CultureInfo.InvariantCulture, $"\n{Declaration(type)}\n");
                foreach (string member in Members(type))
                {
                    text.Append(CultureInfo.InvariantCulture, $"    {member}\n");
                }
            }

            text.Append('\n');
        }

        return text.ToString().TrimEnd('\n') + "\n";
    }

    private static string Declaration(Type type)
    {
        if (typeof(Delegate).IsAssignableFrom(type))
        {
            return $"delegate {MemberText.Signature(type.GetMethod("Invoke")!, TypeText.Of(type))}";
        }

        string kind = type.IsEnum ? "enum"
            : type.IsInterface ? "interface"
            : type.IsValueType ? $"{(type.IsDefined(typeof(IsReadOnlyAttribute)) ? "readonly " : "")}{(type.IsByRefLike ? "ref " : "")}{(IsRecord(type) ? "record " : "")}struct"
            : type is { IsAbstract: true, IsSealed: true } ? "static class"
            : (type.IsAbstract ? "abstract " : type.IsSealed ? "sealed " : "") + (IsRecord(type) ? "record" : "class");
        string[] parents = Parents(type);
        return $"{kind} {TypeText.Of(type)}{(parents.Length > 0 ? " : " + string.Join(", ", parents) : "")}{MemberText.Constraints(type.GetGenericArguments())}";
    }

    private static string[] Parents(Type type)
    {
        if (type.IsEnum)
        {
            return [TypeText.Of(Enum.GetUnderlyingType(type))];
        }

        // An interface that the base type or another interface brings along is not said again.
        Type[] all = type.GetInterfaces();
        var brought = all.SelectMany(parent => parent.GetInterfaces()).Concat(type.BaseType?.GetInterfaces() ?? []);
        var own = all.Except(brought).Where(parent => IsVisibleUse(parent) && !(IsRecord(type) && parent == typeof(IEquatable<>).MakeGenericType(type))).Select(TypeText.Of).Order(StringComparer.Ordinal);
        bool plain = type.BaseType is null || type.BaseType == typeof(object) || type.BaseType == typeof(ValueType);
        return plain ? [.. own] : [TypeText.Of(type.BaseType!), .. own];
    }

    private static IEnumerable<string> Members(Type type)
    {
        if (type.IsEnum)
        {
            return Enum.GetNames(type).Zip(Enum.GetValuesAsUnderlyingType(type).Cast<object>())
                .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.First} = {pair.Second}"));
        }

        return typeof(Delegate).IsAssignableFrom(type)
            ? []
            : type.GetMembers(Declared)
                .Select(member => (member.MemberType, member.Name, Text: MemberText.Of(member)))
                .Where(member => member.Text is not null)
                .OrderBy(member => Array.IndexOf(Kinds, member.MemberType))
                .ThenBy(member => member.Name, StringComparer.Ordinal)
                .ThenBy(member => member.Text, StringComparer.Ordinal)
                .Select(member => member.Text!);
    }

    private static bool IsRecord(Type type) =>
        type.GetMethods(Declared).Any(method => method.Name == "PrintMembers" && method.IsDefined(typeof(CompilerGeneratedAttribute)));

    private static bool IsVisible(Type type) =>
        !type.Name.Contains('<') && (type.IsPublic || ((type.IsNestedPublic || type.IsNestedFamily || type.IsNestedFamORAssem) && IsVisible(type.DeclaringType!)));

    private static bool IsVisibleUse(Type type) => IsVisible(type.IsGenericType ? type.GetGenericTypeDefinition() : type);
}

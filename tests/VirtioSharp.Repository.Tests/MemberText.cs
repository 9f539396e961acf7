using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace VirtioSharp.Repository.Tests;

/// <summary>How a public or protected member is written in the API's snapshot; null when it is neither.</summary>
internal static class MemberText
{
    public static string? Of(MemberInfo member) => member switch
    {
        _ when member.Name.Contains('<') || member.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false) => null,
        FieldInfo field when IsVisible(field.IsPublic, field.IsFamily, field.IsFamilyOrAssembly) => Field(field),
        PropertyInfo property => Property(property),
        EventInfo @event when IsVisible(@event.AddMethod!) => $"{Modifiers(@event.AddMethod!)}event {TypeText.Of(@event)} {@event.Name}",
        ConstructorInfo { IsStatic: false } constructor when IsVisible(constructor) =>
            $"{Modifiers(constructor)}{TypeText.NameOf(constructor.DeclaringType!)}({Parameters(constructor)})",
        MethodInfo method when IsVisible(method) && (!method.IsSpecialName || method.Name.StartsWith("op_", StringComparison.Ordinal)) =>
            Modifiers(method) + Signature(method, method.Name + Generics(method)),
        _ => null,
    };

    public static string Signature(MethodInfo method, string name) =>
        $"{RefOf(method.ReturnParameter)}{TypeText.Of(method.ReturnParameter)} {name}({Parameters(method)}){Constraints(method.GetGenericArguments())}";

    public static string Constraints(Type[] parameters) =>
        string.Concat(parameters.Where(parameter => parameter.IsGenericParameter).Select(parameter =>
        {
            GenericParameterAttributes flags = parameter.GenericParameterAttributes;
            bool isStruct = flags.HasFlag(GenericParameterAttributes.NotNullableValueTypeConstraint);
            var types = parameter.GetGenericParameterConstraints().Where(type => type != typeof(ValueType)).Select(TypeText.Of).Order(StringComparer.Ordinal);
            bool unmanaged = parameter.CustomAttributes.Any(attribute => attribute.AttributeType.Name == "IsUnmanagedAttribute");
            string[] all =
            [
                .. flags.HasFlag(GenericParameterAttributes.ReferenceTypeConstraint) ? ["class"] : Array.Empty<string>(),
                .. isStruct ? [unmanaged ? "unmanaged" : "struct"] : Array.Empty<string>(),
                .. types,
                .. !isStruct && flags.HasFlag(GenericParameterAttributes.DefaultConstructorConstraint) ? ["new()"] : Array.Empty<string>(),
                .. flags.HasFlag(GenericParameterAttributes.AllowByRefLike) ? ["allows ref struct"] : Array.Empty<string>(),
            ];
            return all.Length > 0 ? $" where {parameter.Name} : {string.Join(", ", all)}" : "";
        }));

    private static string Field(FieldInfo field)
    {
        string access = field.IsPublic ? "" : "protected ";
        string kind = field.IsLiteral ? "const " : (field.IsStatic ? "static " : "") + (field.IsInitOnly ? "readonly " : "");
        string value = field.IsLiteral ? $" = {Literal(field.GetRawConstantValue())}" : "";
        return $"{access}{kind}{TypeText.Of(field)} {field.Name}{value}";
    }

    private static string? Property(PropertyInfo property)
    {
        MethodInfo[] accessors = [.. property.GetAccessors(nonPublic: true).Where(IsVisible)];
        if (accessors.Length == 0)
        {
            return null;
        }

        MethodInfo widest = accessors.FirstOrDefault(accessor => accessor.IsPublic) ?? accessors[0];
        var words = accessors.Select(accessor => (accessor.IsPublic == widest.IsPublic ? "" : "protected ") + Word(accessor)).Order(StringComparer.Ordinal);
        string required = property.IsDefined(typeof(RequiredMemberAttribute)) ? "required " : "";
        ParameterInfo[] index = property.GetIndexParameters();
        string name = index.Length > 0 ? $"this[{string.Join(", ", index.Select(Parameter))}]" : property.Name;
        string reference = property.PropertyType.IsByRef ? RefOf(property.GetMethod!.ReturnParameter) : "";
        return $"{Modifiers(widest)}{required}{reference}{TypeText.Of(property)} {name} {{ {string.Join("; ", words)}; }}";

        string Word(MethodInfo accessor) => accessor == property.GetMethod ? "get"
            : accessor.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) ? "init"
            : "set";
    }

    private static string Modifiers(MethodBase method)
    {
        string access = method.IsPublic ? "" : "protected ";
        bool inInterface = method.DeclaringType!.IsInterface;
        bool overrides = method is MethodInfo { IsVirtual: true } m && m.GetBaseDefinition().DeclaringType != m.DeclaringType;
        string kind = method.IsStatic ? (method.IsAbstract ? "static abstract " : method.IsVirtual ? "static virtual " : "static ")
            : overrides ? (method.IsFinal ? "sealed override " : method.IsAbstract ? "abstract override " : "override ")
            : inInterface ? (method.IsAbstract ? "" : "virtual ")
            : method.IsAbstract ? "abstract "
            : method.IsVirtual && !method.IsFinal ? "virtual "
            : "";
        bool onReadOnlyStruct = method.DeclaringType.IsDefined(typeof(IsReadOnlyAttribute), inherit: false);
        string readOnly = method.IsDefined(typeof(IsReadOnlyAttribute), inherit: false) && !onReadOnlyStruct ? "readonly " : "";
        return access + kind + readOnly;
    }

    private static string Generics(MethodInfo method) =>
        method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(TypeText.Of))}>" : "";

    private static string Parameters(MethodBase method)
    {
        string extension = method.IsDefined(typeof(ExtensionAttribute), inherit: false) ? "this " : "";
        return extension + string.Join(", ", method.GetParameters().Select(Parameter));
    }

    private static string Parameter(ParameterInfo parameter)
    {
        string scoped = parameter.IsDefined(typeof(ScopedRefAttribute)) ? "scoped " : "";
        string many = parameter.IsDefined(typeof(ParamArrayAttribute)) || parameter.IsDefined(typeof(ParamCollectionAttribute)) ? "params " : "";
        string value = parameter.HasDefaultValue ? $" = {Literal(parameter.RawDefaultValue)}" : "";
        return $"{many}{scoped}{RefOf(parameter)}{TypeText.Of(parameter)} {parameter.Name}{value}";
    }

    private static string RefOf(ParameterInfo parameter) =>
        !parameter.ParameterType.IsByRef ? ""
        : parameter.Position < 0 ? (IsReadOnly(parameter) ? "ref readonly " : "ref ")
        : parameter.IsOut ? "out "
        : parameter.IsDefined(typeof(RequiresLocationAttribute)) ? "ref readonly "
        : IsReadOnly(parameter) ? "in "
        : "ref ";

    private static bool IsReadOnly(ParameterInfo parameter) => parameter.IsDefined(typeof(IsReadOnlyAttribute));

    private static string Literal(object? value) => value switch
    {
        null => "default",
        string text => $"\"{text}\"",
        bool yes => yes ? "true" : "false",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static bool IsVisible(MethodBase method) => IsVisible(method.IsPublic, method.IsFamily, method.IsFamilyOrAssembly);

    private static bool IsVisible(bool isPublic, bool isProtected, bool isProtectedInternal) => isPublic || isProtected || isProtectedInternal;
}

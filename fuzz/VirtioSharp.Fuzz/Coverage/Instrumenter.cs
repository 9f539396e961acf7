using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

namespace VirtioSharp.Fuzz.Coverage;

/// <summary>Copies this program to another directory, where every basic block of the code under test calls <see cref="CoverageMap.Hit"/>.</summary>
internal sealed class Instrumenter
{
    /// <summary>Lists the blocks: number, method and IL offset, one per line.</summary>
    public const string BlockList = "blocks.txt";

    private readonly List<string> _blocks = [];

    /// <summary>Instruments Core, Spec, VhostUser, and of this program only the toy that proves that guidance works.</summary>
    public static void Instrument(string from, string to)
    {
        var instrumenter = new Instrumenter();
        Directory.CreateDirectory(to);
        foreach (string file in Directory.GetFiles(from, "*"))
            if (Path.GetFileName(file) is var name && (name.EndsWith(".dll", StringComparison.Ordinal) || name.StartsWith("VirtioSharp.Fuzz", StringComparison.Ordinal)))
                File.Copy(file, Path.Combine(to, name)); // those that are rewritten, too: they are replaced below
        instrumenter.Rewrite(from, to, "VirtioSharp.Spec.dll", static _ => true);
        instrumenter.Rewrite(from, to, "VirtioSharp.Core.dll", static _ => true);
        instrumenter.Rewrite(from, to, "VirtioSharp.VhostUser.dll", static _ => true);
        instrumenter.Rewrite(from, to, "VirtioSharp.Fuzz.dll", static type => type.Name == nameof(Targets.ToyTarget));
        File.WriteAllLines(Path.Combine(to, BlockList), instrumenter._blocks);
    }

    private void Rewrite(string from, string to, string file, Predicate<TypeDefinition> wanted)
    {
        using var resolver = new DefaultAssemblyResolver();
        resolver.AddSearchDirectory(from);
        resolver.AddSearchDirectory(Path.GetDirectoryName(typeof(object).Assembly.Location));
        using var module = ModuleDefinition.ReadModule(Path.Combine(from, file), new ReaderParameters { AssemblyResolver = resolver });
        MethodReference hit = module.ImportReference(typeof(CoverageMap).GetMethod(nameof(CoverageMap.Hit)));
        foreach (TypeDefinition type in module.GetTypes().Where(type => wanted(type)))
            foreach (MethodDefinition method in type.Methods.Where(method => method.HasBody))
                Rewrite(method, hit);
        module.Write(Path.Combine(to, file));
    }

    private void Rewrite(MethodDefinition method, MethodReference hit)
    {
        MethodBody body = method.Body;
        HashSet<Instruction> leaders = Leaders(body);
        body.SimplifyMacros(); // short branches may become too short
        ILProcessor il = body.GetILProcessor();
        foreach (Instruction leader in body.Instructions.Where(leaders.Contains).ToArray())
        {
            // The leader itself becomes the first of the call's two instructions, so whatever jumps to it, or starts or
            // ends a handler there, needs no change. The call is neutral to the stack, so it may stand anywhere.
            Instruction original = il.Create(OpCodes.Nop);
            (original.OpCode, original.Operand) = (leader.OpCode, leader.Operand);
            (leader.OpCode, leader.Operand) = (OpCodes.Ldc_I4, _blocks.Count);
            Instruction call = il.Create(OpCodes.Call, hit);
            il.InsertAfter(leader, call);
            il.InsertAfter(call, original);
            _blocks.Add($"{_blocks.Count} {method.FullName} +{leader.Offset:x}");
        }

        body.OptimizeMacros();
    }

    private static HashSet<Instruction> Leaders(MethodBody body)
    {
        HashSet<Instruction> leaders = [body.Instructions[0]];
        foreach (Instruction instruction in body.Instructions)
        {
            if (instruction.Operand is Instruction target)
                leaders.Add(target);
            else if (instruction.Operand is Instruction[] targets)
                leaders.UnionWith(targets);
            if (instruction.OpCode.FlowControl is FlowControl.Cond_Branch && instruction.Next is { } next)
                leaders.Add(next);
        }

        foreach (ExceptionHandler handler in body.ExceptionHandlers)
            leaders.UnionWith(new[] { handler.HandlerStart, handler.FilterStart }.OfType<Instruction>());
        return leaders;
    }
}

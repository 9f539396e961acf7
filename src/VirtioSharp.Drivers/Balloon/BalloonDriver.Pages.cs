using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Balloon;

// How pages get into chains: as page frame numbers (inflate, deflate) or as the buffers themselves (hints, reports).
public sealed partial class BalloonDriver
{
    private uint _hintedCommand;

    /// <summary>The command for hints on free pages that is in force (§5.5.6.5): 0 stop, 1 done, others ask for hints.</summary>
    public uint HintCommand { get; private set; }

    /// <summary>Whether the device asks for hints, and has not had them: call <see cref="Hint"/>.</summary>
    public bool WantsHints => HintCommand >= BalloonLayout.FirstCommand && HintCommand != _hintedCommand;

    /// <summary>Answers the command in force: tells the device which memory holds nothing that is needed.</summary>
    /// <remarks>
    /// What is in it is anything from now on; it may be written to, which takes the hint back. Until <see cref="HintCommand"/>
    /// reads 1 (done) it must be initialized before it is used.
    /// </remarks>
    /// <param name="free">Pieces of free memory, of whole pages.</param>
    /// <returns>How many pieces the device got: fewer when it has changed its mind.</returns>
    /// <exception cref="InvalidOperationException">The device does not want hints.</exception>
    public int Hint(params ReadOnlySpan<DmaBuffer> free)
    {
        if (_hints is null || !WantsHints)
            throw new InvalidOperationException($"the device wants no hints: its command is {HintCommand}");
        _session.ThrowIfBroken();
        foreach (DmaBuffer piece in free)
            FramesOf(piece);
        uint command = _hintedCommand = HintCommand;
        SendCommand(command);
        int given = 0;
        while (given < free.Length && HintCommand == command)
        {
            _hints.Send([], free.Slice(given++, 1));
            CheckConfiguration();
        }

        SendCommand(BalloonLayout.CommandStop); // MUST end a round, and the device reuses no id before it
        return given;
    }

    /// <summary>Tells the device of free memory that it may take away until it is used again, and waits until it knows (§5.5.6.7).</summary>
    /// <remarks>Afterwards the memory can be used without telling. What is in it is anything, or the poison. Large pieces serve best.</remarks>
    /// <param name="free">Pieces of free memory, of whole pages.</param>
    /// <exception cref="NotSupportedException">The device takes no reports.</exception>
    public void Report(params ReadOnlySpan<DmaBuffer> free)
    {
        if (_reports is null)
            throw new NotSupportedException("PAGE_REPORTING was not negotiated");
        _session.ThrowIfBroken();
        foreach (DmaBuffer piece in free)
        {
            FramesOf(piece);
            Poison(piece);
        }

        for (int at = 0; at < free.Length; at += _reports.MaxBuffers)
            _reports.Send([], free[at..Math.Min(at + _reports.MaxBuffers, free.Length)]);
    }

    private void SendCommand(uint command)
    {
        _hints!.Settle();
        MemoryMarshal.Write(_command.Span, (Le32)command);
        _hints.Send([_command], []);
    }

    /// <summary>Sends the page frame numbers, 256 at a time, and tells the device the new number of pages (§5.5.6).</summary>
    private void Move(PageChannel channel, ReadOnlySpan<DmaBuffer> pages, Action<uint> note)
    {
        _session.ThrowIfBroken();
        // What timed out before: no page goes out before it is known to be in.
        _inflate.Settle();
        _deflate.Settle();
        int count = 0;
        foreach (DmaBuffer page in pages)
        {
            foreach (uint frame in FramesOf(page))
            {
                note(frame);
                Put(channel, frame, ref count);
            }
        }

        Send(channel, ref count);
        TellActual();
    }

    private void InflateAgain()
    {
        int count = 0;
        foreach (uint frame in _balloon)
            Put(_inflate, frame, ref count);
        Send(_inflate, ref count);
        TellActual();
    }

    private void TellActual()
    {
        ActualPages = (uint)_balloon.Count;
        Write(BalloonConfiguration.ActualOffset, ActualPages);
    }

    private void Put(PageChannel channel, uint frame, ref int count)
    {
        MemoryMarshal.Write(_frames.Span[(count * sizeof(uint))..], (Le32)frame);
        if (++count == MaxFrames)
            Send(channel, ref count);
    }

    private void Send(PageChannel channel, ref int count)
    {
        if (count > 0)
            channel.Send([_frames.Slice(0, count * sizeof(uint))], []);
        count = 0;
    }

    private void Poison(DmaBuffer page)
    {
        if (Has(BalloonFeatures.PagePoison))
            MemoryMarshal.Cast<byte, Le32>(page.Span).Fill(_options.Poison!.Value);
    }

    private static FrameRange FramesOf(DmaBuffer page)
    {
        ulong end = page.Address.Value + (ulong)page.Length;
        if (page.Length == 0 || page.Address.Value % BalloonLayout.PageBytes != 0 || page.Length % BalloonLayout.PageBytes != 0)
            throw new ArgumentException($"{page.Length} bytes at {page.Address} are not whole pages of {BalloonLayout.PageBytes}", nameof(page));
        if ((end - 1) / BalloonLayout.PageBytes > uint.MaxValue)
            throw new ArgumentException($"{page.Address} has no page frame number of 32 bits", nameof(page));
        return new FrameRange(page.Address.Value / BalloonLayout.PageBytes, end / BalloonLayout.PageBytes);
    }

    private struct FrameRange(ulong start, ulong end)
    {
        private ulong _next = start;

        public uint Current { get; private set; }

        public readonly FrameRange GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_next == end)
                return false;
            Current = (uint)_next++;
            return true;
        }
    }
}

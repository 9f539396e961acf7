namespace VirtioSharp.Linux;

/// <summary>Who was at the other end when the connection was made (SO_PEERCRED, unix(7)).</summary>
/// <param name="ProcessId">Its process; 0 when it lives outside our pid namespace.</param>
/// <param name="UserId">Its effective user.</param>
/// <param name="GroupId">Its effective group.</param>
public readonly record struct PeerCredentials(int ProcessId, uint UserId, uint GroupId);

# need_dotnet: makes sure that the .NET SDK is there; returns 1, having said what to do, when it is not. Source it.

need_dotnet() {
    local sdk
    sdk="$(command -v dotnet >/dev/null && dotnet --version 2>/dev/null || echo 0)"
    if ! [[ "${sdk%%.*}" =~ ^[0-9]+$ ]] || ((${sdk%%.*} < 10)); then
        echo "The .NET SDK 10 is missing: install it from https://dot.net/download and put dotnet on the PATH"
        return 1
    fi

    export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
    # An SDK that was unpacked by hand: the programs find their runtime beside it.
    local home
    home="$(dirname "$(readlink -f "$(command -v dotnet)")")"
    [[ -n "${DOTNET_ROOT:-}" || ! -d "$home/host/fxr" ]] || export DOTNET_ROOT="$home"
}

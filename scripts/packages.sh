# need_packages PKG...: installs what is missing from Debian, as root or with a sudo that asks nothing.
# It says what it does in one line, and returns 1, having said why, when something is still missing:
# the caller decides whether to go on without. Source it; it changes nothing by itself.

missing_packages() {
    local package
    for package in "$@"; do
        [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" == installed ]] || echo "$package"
    done
}

need_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is not Debian; for everything to run, install what these packages hold: $*"
        return 1
    fi

    local -a missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0

    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120)
    if ((EUID != 0)); then
        if ! sudo -n true 2>/dev/null; then
            echo "Missing, and not root to install it: ${missing[*]} (sudo apt-get install ${missing[*]})"
            return 1
        fi
        apt=(sudo -n "${apt[@]}")
    fi

    echo "Installing from Debian: ${missing[*]}"
    local log package
    log="$(mktemp)"
    # The lists on the machine usually do; a fresh container has none. One package that this release
    # does not have must not cost us the others, so a failure is retried one by one.
    if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
        "${apt[@]}" update >>"$log" 2>&1 </dev/null || true
        if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
            for package in "${missing[@]}"; do
                "${apt[@]}" install --no-install-recommends "$package" >>"$log" 2>&1 </dev/null || true
            done
        fi
    fi

    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]})); then
        grep -E '^(E|Err|dpkg: error)' "$log" | sort -u | tail -n 5 || true
        rm -f "$log"
        echo "Could not install: ${missing[*]}"
        return 1
    fi
    rm -f "$log"
}

# Sourced by the other scripts: finds a Rust toolchain and a Python that are new enough, wherever they are installed.
# The Rust floor is `rust-version` of parsers/Cargo.toml; the Python range is `requires-python` of pyproject.toml.

rust_floor=88 # minor version: 1.88, what arrow 60 needs

# Puts the first cargo that is new enough in front of PATH. Non-zero when there is none.
use_rust() {
    local dir minor
    local IFS=:
    for dir in $PATH "${CARGO_HOME:-$HOME/.cargo}/bin" /usr/local/cargo/bin /usr/bin; do
        [ -x "$dir/cargo" ] || continue
        minor=$("$dir/cargo" --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
        if [ -n "$minor" ] && [ "$minor" -ge "$rust_floor" ]; then
            export PATH="$dir:$PATH"
            return 0
        fi
    done
    return 1
}

# Prints the first Python 3.11 to 3.13. Non-zero when there is none.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

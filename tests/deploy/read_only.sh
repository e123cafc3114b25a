# read_only.sh CACHE USER NEEDED... -- COMMAND...
# In a mount namespace of its own: make everything read-only but CACHE, see to it that
# USER can reach what is NEEDED, and become it, without any capability.
set -eu
cache=$1 user=$2
shift 2
mount --make-rprivate /
while [ "$1" != "--" ]; do
    blocked=""
    folder=$1
    while [ "$folder" != "/" ]; do
        folder=$(dirname "$folder")
        mode=$(stat -c %a "$folder")
        [ $((mode % 2)) -eq 1 ] || blocked=$folder
    done
    if [ -n "$blocked" ]; then
        # the way to it is another user's: stand it on a way of its own
        stash=$(mktemp -d)
        mount --bind "$1" "$stash"
        mount -t tmpfs -o mode=755 tmpfs "$blocked"
        mkdir -p "$1"
        mount --bind "$stash" "$1"
    fi
    shift
done
shift
mount --bind "$cache" "$cache"
mount -o remount,bind,ro /
exec setpriv --reuid="$user" --regid="$user" --clear-groups --bounding-set=-all \
    --no-new-privs env HOME="$cache" TMPDIR="$cache" XDG_CACHE_HOME="$cache" \
    NUMBA_CACHE_DIR="$cache/numba" MPLCONFIGDIR="$cache/matplotlib" "$@"

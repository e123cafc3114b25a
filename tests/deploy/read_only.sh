# read_only.sh USER WRITABLE... -- NEEDED... -- COMMAND...
# In a mount namespace of its own: make everything read-only but what is WRITABLE, see
# to it that USER can reach what is NEEDED, and become it, without any capability.
set -eu
user=$1
shift
mount --make-rprivate /
while [ "$1" != "--" ]; do
    mount --bind "$1" "$1"
    shift
done
shift
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
mount -o remount,bind,ro /
exec setpriv --reuid="$user" --regid="$user" --clear-groups --bounding-set=-all \
    --no-new-privs "$@"

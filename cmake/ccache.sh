#!/bin/sh
# ccache.sh ROOT COMPILER ARGUMENT...: compiles through ccache, so that checkouts in different folders share objects.
#
# Paths below ROOT are told to ccache relative to the working directory (those that it leaves alone, after -Xclang, are made
# so here). A precompiled header holds absolute paths, so it is
# made anew in each checkout; beside it lies a digest of what went into it, and that is what the objects depend on.
root=$1
shift
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime

case "$*" in
  *-emit-pch*) ;;
  *)
    for argument; do
      shift
      set -- "$@" "${argument#"$PWD"/}"
    done
    CCACHE_BASEDIR=$root CCACHE_PCH_EXTSUM=1 exec ccache "$@"
    ;;
esac

ccache "$@" || exit
exec python3 - "$root" "$@" <<'PYTHON'
import hashlib, pathlib, sys

root, arguments = sys.argv[1], sys.argv[2:]
output, dependencies = (arguments[arguments.index(option) + 1] for option in ("-o", "-MF"))
# make's way to write a list: blanks escaped, lines continued.
listed = pathlib.Path(dependencies).read_text().split(": ", 1)[1].replace("\\\n", " ").replace("\\ ", "\0").split()
digest = hashlib.sha256()
for name in listed:
    name = name.replace("\0", " ")
    digest.update(name.replace(root, "").encode() + b"\0" + hashlib.sha256(pathlib.Path(name).read_bytes()).digest())
pathlib.Path(output + ".sum").write_text(digest.hexdigest())
PYTHON

# patched-tree.sh: sourced by the scripts that make mistakes in a copy of the tree.

# copy_tree TREE: what git knows of, as it is now. The copies are new to cargo: it
# builds again what a patch had changed in a copy before. Each copy needs a target directory
# of its own: in a common one cargo tells two copies apart by nothing, and takes what it
# built of one for the other. Without cargo's configuration: that of the tree above counts
# there, too.
copy_tree() {
  rm -rf "$1"
  mkdir -p "$1"
  git ls-files -z -- ':!.cargo' | xargs -0 cp -d --parents -t "$1"
}

# patch_tree TREE ARGUMENTS...: `git apply` there. The copy is no repository, and must
# not be taken for a part of this one.
patch_tree() {
  local tree=$1
  shift
  (cd "$tree" && GIT_CEILING_DIRECTORIES=$(dirname "$tree") git apply "$@")
}

# field PATCH NAME: what the head of a patch says.
field() { sed -n "s/^$2: //p" "$1" | head -n 1; }

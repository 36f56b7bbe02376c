#!/usr/bin/env bash
# apt 2.6.1 (Debian 12): `apt-get install --no-download ./package.deb` ends with "Internal Error, Pathname to install is not
# absolute", although nothing has to be downloaded. Without --no-download it installs the same file, also without any source.
# Why it matters: --no-download is what one adds where a host must not ask the network.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir -p state/lists/partial archives/partial
cp /var/lib/dpkg/status state/status
apt-get --version | head -n 1
apt-get --quiet download hello >/dev/null 2>&1 || { echo "needs a package source with the package hello"; exit 1; }
apart=(-o Dir::State="$folder/state" -o Dir::State::status="$folder/state/status" -o Dir::Cache="$folder"
    -o Dir::Cache::archives="$folder/archives" -o Dir::Bin::dpkg=/bin/true -o Debug::NoLocking=true
    -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null)
with=0
without=0
apt-get --quiet --yes "${apart[@]}" --no-download install "$folder"/hello_*.deb >with 2>&1 || with=$?
apt-get --quiet --yes "${apart[@]}" install "$folder"/hello_*.deb >without 2>&1 || without=$?
grep 'Internal Error' with || true
echo "with --no-download: exit code $with; without: $without"
[ "$with" = 100 ] && [ "$without" = 0 ] && grep -q 'Pathname to install is not absolute' with ||
    { echo "this has changed"; exit 1; }
echo "as described"

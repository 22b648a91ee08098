//! What this process may use of the machine that it runs on.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Component, Path, PathBuf},
};

/// What this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory: u64,
}

impl Machine {
    /// What the machine and the process's control groups (a container's) grant.
    #[must_use]
    pub fn detect() -> Self {
        // It asks the control groups as well.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores, memory: memory() }
    }
}

/// The memory that this process may use, in bytes: the machine's, or the limit of the process's
/// control groups (a container's) if that is less.
fn memory() -> u64 {
    let total = sysinfo::System::new().map(|mut system| {
        system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
        system.total_memory()
    });
    let machine = total.ok().filter(|total| *total > 0).unwrap_or(FALLBACK);
    memory_limit(Path::new("/")).map_or(machine, |limit| limit.min(machine))
}

/// The memory of a system that does not say how much it has: 16 GiB.
const FALLBACK: u64 = 16 << 30;

/// The smallest memory limit of the control groups from this process's own up to the topmost that
/// can be seen, in bytes; nothing without a limit, and without control groups. All paths are
/// looked up below `root`, which is `/` but for tests.
///
/// See `cgroups(7)`, `proc_pid_mountinfo(5)`, and in the kernel's documentation
/// `admin-guide/cgroup-v1/memory.rst` and `admin-guide/cgroup-v2.rst`.
fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read(root.join("proc/self/mountinfo")).ok()?;
    let limits = groups.lines().filter_map(Group::parse).flat_map(|group| {
        let mounts = mounts.split(|byte| *byte == b'\n').filter_map(Mount::parse);
        let same = mounts.filter(move |mount| mount.version == group.version);
        same.filter_map(move |mount| group.limit(root, &mount)).collect::<Vec<_>>()
    });
    limits.min()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A control group of this process that may limit its memory.
struct Group<'a> {
    version: Version,
    path: &'a Path,
}

impl<'a> Group<'a> {
    /// A line of `/proc/self/cgroup`: `hierarchy:controllers:path`, where version 2 is hierarchy 0
    /// and names no controllers.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match (hierarchy, controllers) {
            ("0", "") => Version::V2,
            _ if controllers.split(',').any(|name| name == "memory") => Version::V1,
            _ => return None,
        };
        Some(Self { version, path: Path::new(path) })
    }

    /// The smallest limit from this group up to the one that is mounted.
    fn limit(&self, root: &Path, mount: &Mount) -> Option<u64> {
        let top = below(root, &mount.point);
        let group = match self.path.strip_prefix(&mount.root) {
            // Outside of what is mounted, beside or above it.
            _ if self.path.components().any(|part| part == Component::ParentDir) => return None,
            Ok(inside) => top.join(inside),
            // The paths are those of another namespace: what is mounted is the container's own.
            Err(_) => top.clone(),
        };
        let folders = group.ancestors().take_while(|folder| folder.starts_with(&top));
        let limits = folders.filter_map(|folder| match self.version {
            Version::V1 => number(&fs::read_to_string(folder.join("memory.limit_in_bytes")).ok()?),
            Version::V2 => number(&fs::read_to_string(folder.join("memory.max")).ok()?),
        });
        limits.chain(self.limit_above(&group)).min()
    }

    /// The limit that the kernel counts for a group with all those above it, also those that are
    /// not mounted: version 1 has a file that says so.
    fn limit_above(&self, group: &Path) -> Option<u64> {
        if self.version == Version::V2 {
            return None;
        }
        let statistics = fs::read_to_string(group.join("memory.stat")).ok()?;
        let mut lines = statistics.lines();
        number(lines.find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?)
    }
}

/// A number of bytes. Version 2 writes `max` where there is no limit; version 1 a number that is
/// larger than any machine's memory.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Where control groups are mounted.
struct Mount {
    version: Version,
    /// The group that is mounted.
    root: PathBuf,
    /// The folder that shows it.
    point: PathBuf,
}

impl Mount {
    /// A line of `/proc/self/mountinfo`, if it is of control groups that may limit memory:
    /// `id parent device root point options [more…] - type source options`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let mut controllers = options.split(|byte| *byte == b',');
        let version = match kind {
            b"cgroup2" => Version::V2,
            b"cgroup" if controllers.any(|name| name == b"memory") => Version::V1,
            _ => return None,
        };
        Some(Self { version, root: unescape(root), point: unescape(point) })
    }
}

/// Spaces, tabs, line ends and backslashes are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (first, escaped) {
            (b'\\', Some(byte)) => (bytes.push(byte), rest = &tail[3..]),
            _ => (bytes.push(*first), rest = tail),
        };
    }
    OsString::from_vec(bytes).into()
}

/// An absolute path as one below another root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `/proc/self/mountinfo` as Linux writes them.
    const V1: &str =
        "35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory";
    const V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const HYBRID: &str = "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    const MIB: u64 = 1 << 20;

    /// What is found below a folder with these contents of `/proc/self` and these files.
    fn limit(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let named = [("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)];
        for (path, text) in named.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_limit(root.path())
    }

    #[test]
    fn the_smallest_limit_up_to_the_root_counts_in_version_2() {
        let group = "0::/a.slice/b.service\n";
        for (own, parent, expected) in [
            ("1073741824\n", "max\n", Some(1024 * MIB)),
            ("max\n", "536870912\n", Some(512 * MIB)),
            ("1073741824\n", "536870912\n", Some(512 * MIB)),
            ("268435456\n", "536870912\n", Some(256 * MIB)),
            ("max\n", "max\n", None),
        ] {
            let files = [
                ("sys/fs/cgroup/a.slice/b.service/memory.max", own),
                ("sys/fs/cgroup/a.slice/memory.max", parent),
                // Above what is mounted: not a control group at all.
                ("sys/fs/memory.max", "1\n"),
            ];
            assert_eq!(limit(group, V2, &files), expected, "{own}{parent}");
        }
        // The group itself has no memory controller, its parent has.
        let files = [("sys/fs/cgroup/a.slice/memory.max", "536870912\n")];
        assert_eq!(limit(group, V2, &files), Some(512 * MIB));
    }

    #[test]
    fn the_smallest_limit_up_to_the_root_counts_in_version_1() {
        let groups = "9:name=systemd:/elsewhere\n7:cpu,cpuacct:/x\n4:memory:/outer/inner\n0::/\n";
        let none = "9223372036854771712\n";
        for (own, parent, expected) in [
            ("1073741824\n", none, 1024 * MIB),
            (none, "536870912\n", 512 * MIB),
            ("1073741824\n", "536870912\n", 512 * MIB),
            // Without a limit it is more than any machine has.
            (none, none, 9_223_372_036_854_771_712),
        ] {
            let files = [
                ("sys/fs/cgroup/memory/outer/inner/memory.limit_in_bytes", own),
                ("sys/fs/cgroup/memory/outer/memory.limit_in_bytes", parent),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", none),
                ("sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes", "1\n"),
            ];
            let mounts = format!("{V1}\n{HYBRID}\n");
            assert_eq!(limit(groups, &mounts, &files), Some(expected), "{own}{parent}");
        }
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_topmost() {
        // Version 2 with a namespace of its own, as Docker makes it.
        let files = [("sys/fs/cgroup/memory.max", "536870912\n")];
        assert_eq!(limit("0::/\n", V2, &files), Some(512 * MIB));

        // Version 1 without: the group's path is the machine's, and that group is mounted.
        let mount = V1.replace(" / ", " /docker/0123 ");
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "268435456\n"),
        ];
        assert_eq!(limit("4:memory:/docker/0123\n", &mount, &files), Some(512 * MIB));
        assert_eq!(limit("4:memory:/docker/0123/inner\n", &mount, &files), Some(256 * MIB));
        assert_eq!(limit("4:memory:/\n", &mount, &files), Some(512 * MIB));
        // Somebody moved the process out of the container.
        assert_eq!(limit("4:memory:/../other\n", &mount, &files), None);
    }

    #[test]
    fn a_limit_above_what_a_container_sees_counts_where_the_kernel_tells_it() {
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "cache 5\nhierarchical_memory_limit 536870912\nhierarchical_memsw_limit 1\n",
            ),
        ];
        assert_eq!(limit("4:memory:/\n", V1, &files), Some(512 * MIB));
    }

    #[test]
    fn names_with_spaces_and_backslashes_are_found() {
        let mount = r"30 23 0:26 / /sys/my\040groups rw - cgroup2 cgroup2 rw";
        let files = [("sys/my groups/a\\x2db/memory.max", "536870912\n")];
        assert_eq!(limit("0::/a\\x2db\n", mount, &files), Some(512 * MIB));
    }

    #[test]
    fn without_control_groups_there_is_no_limit() {
        assert_eq!(memory_limit(Path::new("/nowhere")), None);
        for (groups, mounts) in [
            ("", V2),
            ("0::/\n", ""),
            ("garbage\n::\n4:memory\n", "garbage\n- - -\n"),
            ("0::/", V1),
        ] {
            let files = [("sys/fs/cgroup/memory.max", "536870912\n")];
            assert_eq!(limit(groups, mounts, &files), None, "{groups}{mounts}");
        }
        let files = [("sys/fs/cgroup/memory.max", "lots\n")];
        assert_eq!(limit("0::/\n", V2, &files), None);
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!((1 << 20..1 << 50).contains(&memory()));
    }
}

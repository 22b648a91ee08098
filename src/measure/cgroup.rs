use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Limits;

/// A control group of version 2 with one process and what it starts. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

/// What the names begin with; the number of this process and that of the group in it follow.
const PREFIX: &str = "hyperfake-";
/// The period over which CPU time is limited, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;

impl Cgroup {
    /// Makes one in the nearest group above this process that hands the limits on and lets us. What
    /// processes that were killed have left there is removed.
    ///
    /// # Errors
    ///
    /// Why there is none, as a sentence's end.
    pub(super) fn new(number: usize, limits: &Limits) -> Result<Self, String> {
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let root = mount(&mounts).ok_or("no cgroups of version 2 are mounted")?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        Self::below(&root, own.unwrap_or_default(), &name, limits)
    }

    fn below(root: &Path, own: &str, name: &str, limits: &Limits) -> Result<Self, String> {
        let own = root.join(own);
        let mut why = format!("{} is no folder", own.display());
        for above in own.ancestors().take_while(|folder| folder.starts_with(root)) {
            match Self::within(above, name, limits) {
                Ok(made) => return Ok(made),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    fn within(above: &Path, name: &str, limits: &Limits) -> Result<Self, String> {
        let needed = [("cpu", limits.cpus.is_some()), ("memory", limits.memory.is_some())];
        remove_abandoned(above);
        let folder = above.join(name);
        // One that a process of the same number left behind, if it is empty.
        let _ = fs::remove_dir(&folder);
        let failed = |what: &Path, error: io::Error| format!("{}: {error}", what.display());
        fs::create_dir(&folder).map_err(|error| failed(&folder, error))?;
        // From here on it is removed when something fails.
        let made = Self(folder);
        let found = fs::read_to_string(made.0.join("cgroup.controllers")).unwrap_or_default();
        for (controller, _) in needed.into_iter().filter(|(_, is_needed)| *is_needed) {
            if !found.split_whitespace().any(|name| name == controller) {
                let above = above.display();
                return Err(format!("{above} does not hand on the controller '{controller}'"));
            }
        }
        let write = |file: &str, text: String| {
            let file = made.0.join(file);
            fs::write(&file, text).map_err(|error| failed(&file, error))
        };
        if let Some(cpus) = limits.cpus {
            write("cpu.max", format!("{} {PERIOD_US}", (cpus * PERIOD_US as f64) as u64))?;
        }
        if let Some(memory) = limits.memory {
            write("memory.max", memory.to_string())?;
            // Where there is no swap there is no such file.
            let _ = write("memory.swap.max", "0".into());
        }
        Ok(made)
    }

    /// The file that takes the number of a process that is to be in the group.
    pub(super) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// The CPU time that was used in it, in nanoseconds.
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        let text = fs::read_to_string(self.0.join("cpu.stat")).ok()?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        used.trim().parse::<u64>().ok().map(|us| us.saturating_mul(1000))
    }

    /// The memory that is used in it, in bytes; nothing without the controller.
    pub(super) fn ram_bytes(&self) -> Option<u64> {
        fs::read_to_string(self.0.join("memory.current")).ok()?.trim().parse().ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes have ended, and the kernel may still be at it.
        for _ in 0..50 {
            match fs::remove_dir(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                _ => return,
            }
        }
    }
}

/// Removes the groups whose process has ended without removing them. One in which something still runs stays:
/// the kernel removes none that is not empty.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(maker).is_some_and(|process| !lives(process)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The process that made a group of this name; nothing of a group that is not ours.
fn maker(name: &str) -> Option<u32> {
    let (process, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<usize>().ok()?;
    process.parse().ok()
}

fn lives(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// Where they are mounted: the line has the folder in its fifth field, and the kind of the file system
/// behind a hyphen.
fn mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { cpus: Some(0.5), memory: None };

    #[test]
    fn the_mount_of_version_2_is_found_beside_those_of_version_1() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                      40 23 0:27 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount("30 23 0:26 / / rw - ext4 /dev/vda rw"), None);
        assert_eq!(mount(""), None);
    }

    #[test]
    fn what_a_process_that_was_killed_has_left_is_removed_if_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let (gone, here) = (ended.id(), std::process::id());
        let name = |process: u32, number: usize| format!("hyperfake-{process}-{number}");
        let others = ["hyperfake-1", "hyperfake-x-1", "hyperfake-1-x", "other-1-1"];
        for name in [name(gone, 0), name(gone, 1), name(here, 0)] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in others {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // As long as there is something in it.
        fs::create_dir(folder.path().join(name(gone, 1)).join("inner")).unwrap();
        remove_abandoned(folder.path());
        let is_there = |name: &str| folder.path().join(name).exists();
        assert!(!is_there(&name(gone, 0)));
        assert!(is_there(&name(gone, 1)) && is_there(&name(here, 0)));
        assert!(others.iter().all(|name| is_there(name)));
    }

    /// A folder is no control group: what is made in it has no controllers.
    #[test]
    fn without_the_controller_there_is_a_reason_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let error = Cgroup::below(folder.path(), "a/b", "hyperfake-1", &LIMITS).unwrap_err();
        let expected = format!("{} does not hand on the controller 'cpu'", folder.path().display());
        assert_eq!(error, expected);
        for above in ["", "a", "a/b"] {
            assert!(!folder.path().join(above).join("hyperfake-1").exists());
        }
    }
}

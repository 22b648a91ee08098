//! What the system says of a process, for the benches that watch one.

use std::fs;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// A number of bytes that its `status` has, such as `VmRSS`.
    pub(crate) fn bytes(self, name: &str) -> u64 {
        let status = fs::read_to_string(self.file("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() << 10
    }

    /// How many descriptors (`fd`) or threads (`task`) it has.
    pub(crate) fn count(self, what: &str) -> usize {
        fs::read_dir(self.file(what)).unwrap().count()
    }

    fn file(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }
}

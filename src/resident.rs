//! What of the program's code is resident.

#[cfg(target_os = "linux")]
use std::{fs, ops::Range};

/// Takes the program's code out of this process's resident memory; what runs from now on comes back, a
/// page fault for each 64 KiB. To be called when the start is over: a start runs 2 MB of functions that
/// lie all over the code, and the kernel maps 64 KiB around each (docs/adr/0048-code-of-the-start.md).
///
/// Under a debugger nothing happens, since its breakpoints are changes to the code.
#[cfg(target_os = "linux")]
pub fn drop_code_of_start() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line.strip_prefix("TracerPid:").map(str::trim) == Some("0")) {
        return;
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let here = drop_code_of_start as *const () as usize;
    if let Some(code) = maps.lines().find_map(|line| code(line, here)) {
        drop_pages(code);
    }
}

/// Elsewhere it stays.
#[cfg(not(target_os = "linux"))]
pub fn drop_code_of_start() {}

/// The addresses of a line of `/proc/self/maps`, if this address is among them, and if they are code of a
/// file that nothing can write to: `start-end permissions offset device inode path`, see
/// `proc_pid_maps(5)`.
#[cfg(target_os = "linux")]
fn code(line: &str, address: usize) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let code = number(start)?..number(end)?;
    let (permissions, inode) = (fields.next()?, fields.nth(2)?);
    let is_code = permissions == "r-xp" && inode != "0" && code.contains(&address);
    is_code.then_some(code)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the kernel is told to drop pages")]
fn drop_pages(code: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(code.start);
    // SAFETY: the pages are those of a private mapping of a file that cannot be written to through it and
    // that no debugger changed, so they are equal to the file, from which the kernel takes them again when
    // they are touched (madvise(2)). No Rust object lies there.
    let dropped =
        unsafe { rustix::mm::madvise(start, code.len(), rustix::mm::Advice::LinuxDontNeed) };
    if let Err(error) = dropped {
        tracing::debug!(%error, "the code of the start stays in memory");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_a_file_is_dropped() {
        let line = "5596c1095000-5596c2b18000 r-xp 0053d000 fe:00 281  /usr/bin/hyper fake";
        let address = 0x5596_c109_5000;
        assert_eq!(code(line, address), Some(address..0x5596_c2b1_8000));
        for (what, line, address) in [
            ("another address", line.to_owned(), 0x5596_c2b1_8000),
            ("data", line.replace("r-xp", "r--p"), address),
            ("code that is written to", line.replace("r-xp", "rwxp"), address),
            ("no file", line.replace("281", "0"), address),
            ("half a line", line[..30].to_owned(), address),
            ("nothing", String::new(), address),
        ] {
            assert_eq!(code(&line, address), None, "{what}");
        }
    }

    #[test]
    fn code_that_was_dropped_runs_on() {
        let before = fs::read_to_string("/proc/self/maps").unwrap();
        drop_code_of_start();
        assert!(
            before
                .lines()
                .any(|line| code(line, drop_code_of_start as *const () as usize).is_some())
        );
    }
}
